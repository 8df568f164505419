#include "data/data_kind.h"

#include "base/error.h"
#include "data/data_plan.h"

namespace yolov3 {

DataFormat format_of(const DataOptions& options) {
  const DataPlan plan = make_plan(options);
  for (const auto& [split, written] : plan.splits) {
    for (const WrittenSource& one : written) {
      SourceKind kind;
      try {
        kind = parse_source(one).kind;
      } catch (const Error&) {  // a split that is not there
        continue;
      }
      switch (kind) {
        case SourceKind::voc: return DataFormat::voc;
        case SourceKind::coco: return DataFormat::coco;
        case SourceKind::yolo_folder:
        case SourceKind::yolo_list: return DataFormat::yolo;
        case SourceKind::lines:
        case SourceKind::synthetic: return DataFormat::lines;
      }
    }
  }
  return DataFormat::lines;
}

}  // namespace yolov3
