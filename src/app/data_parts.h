// The commands of `yolov3 data`: one function each, and what they share.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "app/model_data.h"
#include "app/options.h"
#include "data/source.h"
#include "data/write.h"

namespace yolov3 {

int run_data_check(const std::vector<std::string>& arguments);
int run_data_stats(const std::vector<std::string>& arguments);
int run_data_convert(const std::vector<std::string>& arguments);
int run_data_split(const std::vector<std::string>& arguments);
int run_data_preview(const std::vector<std::string>& arguments);
int run_data_synth(const std::vector<std::string>& arguments);

// --data, --names, --images, --threads, --seed; and --bad-data where `bad_data` is not null.
void add_data_options(Options& options, DataOptions& data, std::string* bad_data);

// One split as it loads. A split that is there and cannot be loaded is a finding, not the end.
struct LoadedSplit {
  std::string split;
  Dataset dataset;
  DefectReport report;
  std::string error;  // why it could not be loaded, empty = it was
};

// `wanted` = "all": every split that there is, once; what none of them reads is listed with the first.
// Errors: no such split, --data is no data set.
std::vector<LoadedSplit> load_splits(const DataOptions& options, const std::string& wanted);

// The same where a split that cannot be loaded is the end, as what write_dataset takes: what has no splits is "train".
std::map<std::string, Dataset> splits_to_write(std::vector<LoadedSplit>& loaded);

// Writes FOLDER, which Ctrl-C ends without leaving half of it behind. Errors: as write_dataset.
std::vector<Loss> write_folder(const std::filesystem::path& folder, DataFormat format,
                               const std::map<std::string, Dataset>& splits, const WriteOptions& options);

// Defects and what the files say beyond boxes, for people.
std::string findings_of(const std::vector<LoadedSplit>& loaded, size_t max_listed);

// OUT must not lie in a folder that the data set is read from. `option` is for the message. Errors: Kind::usage.
void check_outside(const std::filesystem::path& out, const char* option, const DataOptions& data);

// Before a long run: OUT must be new or empty, and outside of the data set. Errors: Kind::usage.
void check_out_folder(const std::filesystem::path& out, const char* option, const DataOptions& data);

}  // namespace yolov3
