#include "data/write_formats.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "base/interrupt.h"
#include "base/text.h"
#include "data/new_file.h"
#include "data/yolo.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

// {} prints the shortest digits that read back as the same float.
std::string written(const Box& box) { return fmt::format("{},{},{},{}", box.x0, box.y0, box.x1, box.y1); }

void lose(std::vector<Loss>& losses, const char* what, const PlannedPicture& picture, const Annotation& object,
          const Dataset& dataset, bool gone) {
  losses.push_back({what, picture.example->origin, gone,
                    fmt::format("{} {}", dataset.names[static_cast<size_t>(object.class_id)], written(object.box))});
}

// The fewest digits behind the point, from `least` on, that the predicate is content with; 17 if none is.
template <class Predicate>
std::string fewest_digits(double value, int least, Predicate&& reads_back) {
  std::string text;
  for (int digits = least; digits <= 17; ++digits) {
    text = fmt::format("{:.{}f}", value, digits);
    if (reads_back(*parse_number(text))) break;
  }
  return text;
}

// What a format cannot say of the objects of one picture. A crowd region written as an object would teach the wrong
// thing: it is left out.
class Unsaid {
 public:
  Unsaid(const PlannedPicture& picture, const Dataset& dataset, bool has_difficult, std::vector<Loss>& losses)
      : picture_(picture), dataset_(dataset), has_difficult_(has_difficult), losses_(losses) {}
  // Whether the object is written.
  bool keep(const Annotation& object) {
    if (object.crowd) {
      lose(losses_, "crowd region", picture_, object, dataset_, true);
      return false;
    }
    difficult_ += object.difficult && !has_difficult_;
    areas_ += object.area != object.box.area();
    return true;
  }

  void finish() {
    note("\"difficult\"", difficult_);
    note("area of its own", areas_);
  }

 private:
  void note(const char* what, int64_t count) {
    if (count == 0) return;
    losses_.push_back({what, picture_.example->origin, false,
                       fmt::format("{} of {} objects", count, picture_.example->objects.size()), count});
  }

  const PlannedPicture& picture_;
  const Dataset& dataset_;
  const bool has_difficult_;
  std::vector<Loss>& losses_;
  int64_t difficult_ = 0, areas_ = 0;
};

// VOC's first corner counts from 1.
std::string from_one(float corner) {
  return fewest_digits(static_cast<double>(corner) + 1, 0,
                       [&](double read) { return static_cast<float>(read - 1) == corner; });
}

std::string voc_object(const Annotation& object, const std::string& name) {
  const Box& box = object.box;
  return fmt::format(
      "\t<object>\n\t\t<name>{}</name>\n\t\t<pose>Unspecified</pose>\n\t\t<truncated>0</truncated>\n"
      "\t\t<difficult>{:d}</difficult>\n\t\t<bndbox>\n\t\t\t<xmin>{}</xmin>\n\t\t\t<ymin>{}</ymin>\n"
      "\t\t\t<xmax>{}</xmax>\n\t\t\t<ymax>{}</ymax>\n\t\t</bndbox>\n\t</object>\n",
      markup_escaped(name), object.difficult, from_one(box.x0), from_one(box.y0), box.x1, box.y1);
}

std::string voc_xml(const PlannedPicture& picture, const Dataset& dataset, std::vector<Loss>& losses) {
  std::string xml = fmt::format(
      "<annotation>\n\t<folder>JPEGImages</folder>\n\t<filename>{}</filename>\n\t<size>\n\t\t<width>{}</width>\n"
      "\t\t<height>{}</height>\n\t\t<depth>3</depth>\n\t</size>\n\t<segmented>0</segmented>\n",
      markup_escaped(picture.name), picture.width, picture.height);
  Unsaid unsaid(picture, dataset, true, losses);
  for (const Annotation& object : picture.example->objects) {
    if (!unsaid.keep(object)) continue;
    // Both corners are inclusive: one pixel would have xmin = xmax, which says "no area" here.
    if (object.box.width() <= 1 || object.box.height() <= 1) {
      lose(losses, "box of 1 px or less", picture, object, dataset, true);
      continue;
    }
    xml += voc_object(object, dataset.names[static_cast<size_t>(object.class_id)]);
  }
  unsaid.finish();
  return xml + "</annotation>\n";
}

// Centre and size as shares, with as many digits as give the same floats again (6 are custom).
std::string yolo_box(const Box& box, int width, int height) {
  const double w = width, h = height;
  const double v[4] = {(static_cast<double>(box.x0) + box.x1) / 2 / w, (static_cast<double>(box.y0) + box.y1) / 2 / h,
                       (static_cast<double>(box.x1) - box.x0) / w, (static_cast<double>(box.y1) - box.y0) / h};
  std::string text;
  for (const int digits : {6, 8, 10, 12, 14, 16}) {
    double r[4];
    text.clear();
    for (int i = 0; i < 4; ++i) {
      const std::string number = fmt::format("{:.{}f}", v[i], digits);
      r[i] = *parse_number(number);
      text += " " + number;
    }
    const Box back{
        static_cast<float>(yolo_corner(r[0], -r[2] / 2) * w), static_cast<float>(yolo_corner(r[1], -r[3] / 2) * h),
        static_cast<float>(yolo_corner(r[0], r[2] / 2) * w), static_cast<float>(yolo_corner(r[1], r[3] / 2) * h)};
    if (back == box) break;
  }
  return text;
}

using nlohmann::json;

std::string quoted(const std::string& text) { return json(text).dump(); }

std::string coco_side(float first, float second) {
  const double start = *parse_number(fmt::format("{}", first));
  const double end = *parse_number(fmt::format("{}", second));
  return fewest_digits(end - start, 0, [&](double read) { return static_cast<float>(start + read) == second; });
}

std::string coco_annotation(const Annotation& object, int64_t id, int64_t image_id, int64_t category) {
  const Box& box = object.box;
  return fmt::format(
      "{{\"id\":{},\"image_id\":{},\"category_id\":{},\"bbox\":[{},{},{},{}],\"area\":{},\"iscrowd\":{:d}{},"
      "\"segmentation\":[]}}",
      id, image_id, category, box.x0, box.y0, coco_side(box.x0, box.x1), coco_side(box.y0, box.y1), object.area,
      object.crowd, object.difficult ? ",\"ignore\":1" : "");
}

int64_t category_of(const Dataset& dataset, int class_id) {
  const auto k = static_cast<size_t>(class_id);
  return dataset.category_ids.empty() ? class_id + 1 : dataset.category_ids[k];
}

// Entries of a JSON list, one a line.
class JsonList {
 public:
  explicit JsonList(NewFile& file) : file_(file) { file_.write("[\n"); }
  void add(const std::string& entry) {
    if (!first_) file_.write(",\n");
    file_.write(entry);
    first_ = false;
  }
  void close() { file_.write("\n]"); }

 private:
  NewFile& file_;
  bool first_ = true;
};

void stop_if_interrupted() { check(interrupt_signal() == 0, "writing annotations: interrupted"); }

}  // namespace

void write_lines(const fs::path& folder, const PlannedSplit& split, std::vector<Loss>& losses) {
  NewFile file(folder / (split.split + ".txt"));
  for (const PlannedPicture& picture : split.pictures) {
    stop_if_interrupted();
    std::string line = picture_folder(DataFormat::lines, split.split) + "/" + picture.name;
    Unsaid unsaid(picture, *split.dataset, false, losses);
    for (const Annotation& object : picture.example->objects) {
      if (!unsaid.keep(object)) continue;
      line += fmt::format(" {},{}", written(object.box), object.class_id);
    }
    unsaid.finish();
    file.write(line + "\n");
  }
  file.close();
}

void write_voc(const fs::path& folder, const PlannedSplit& split, std::vector<Loss>& losses) {
  make_directories(folder / "Annotations");
  make_directories(folder / "ImageSets/Main");
  NewFile list(folder / "ImageSets/Main" / (split.split + ".txt"));
  for (const PlannedPicture& picture : split.pictures) {
    stop_if_interrupted();
    const std::string stem = fs::path(picture.name).stem().string();
    write_new_file(folder / "Annotations" / (stem + ".xml"), voc_xml(picture, *split.dataset, losses));
    list.write(stem + "\n");
  }
  list.close();
}

void write_yolo(const fs::path& folder, const PlannedSplit& split, std::vector<Loss>& losses) {
  const fs::path labels = folder / "labels" / split.split;
  make_directories(labels);
  for (const PlannedPicture& picture : split.pictures) {
    stop_if_interrupted();
    std::string label;  // empty = background
    Unsaid unsaid(picture, *split.dataset, false, losses);
    for (const Annotation& object : picture.example->objects) {
      if (!unsaid.keep(object)) continue;
      label += fmt::format("{}{}\n", object.class_id, yolo_box(object.box, picture.width, picture.height));
    }
    unsaid.finish();
    write_new_file(labels / (fs::path(picture.name).stem().string() + ".txt"), label);
  }
}

void write_coco(const fs::path& folder, const PlannedSplit& split, std::vector<Loss>&) {
  const Dataset& dataset = *split.dataset;
  make_directories(folder / "annotations");
  NewFile file(folder / "annotations" / ("instances_" + split.split + ".json"));
  file.write("{\"images\":");
  JsonList images(file);
  for (const PlannedPicture& picture : split.pictures) {
    images.add(fmt::format("{{\"id\":{},\"file_name\":{},\"width\":{},\"height\":{}}}", picture.example->image_id,
                           quoted(picture.name), picture.width, picture.height));
  }
  images.close();
  file.write(",\n\"annotations\":");
  JsonList annotations(file);
  int64_t id = 0;
  for (const PlannedPicture& picture : split.pictures) {
    stop_if_interrupted();
    for (const Annotation& object : picture.example->objects) {
      annotations.add(coco_annotation(object, ++id, picture.example->image_id, category_of(dataset, object.class_id)));
    }
  }
  annotations.close();
  file.write(",\n\"categories\":");
  JsonList categories(file);
  for (size_t k = 0; k < dataset.names.size(); ++k) {
    categories.add(
        fmt::format("{{\"id\":{},\"name\":{}}}", category_of(dataset, static_cast<int>(k)), quoted(dataset.names[k])));
  }
  categories.close();
  file.write("}\n");
  file.close();
}

std::string picture_folder(DataFormat format, const std::string& split) {
  return format == DataFormat::voc ? "JPEGImages" : "images/" + split;
}

std::string data_yaml_text(DataFormat format, const std::vector<std::string>& splits,
                           const std::vector<std::string>& names) {
  std::string yaml = "path: .\n";
  for (const std::string& split : splits) {
    const std::string source = format == DataFormat::yolo   ? "images/" + split
                               : format == DataFormat::coco ? "annotations/instances_" + split + ".json"
                                                            : split + ".txt";
    yaml += fmt::format("{}: {}\n", split, source);
  }
  yaml += fmt::format("nc: {}\nnames:\n", names.size());
  for (size_t i = 0; i < names.size(); ++i) yaml += fmt::format("  {}: {}\n", i, quoted(names[i]));
  return yaml;
}

}  // namespace yolov3
