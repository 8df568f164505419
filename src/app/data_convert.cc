// yolov3 data convert, yolov3 data synth
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "app/data_parts.h"
#include "app/program.h"
#include "base/error.h"
#include "base/log.h"
#include "data/synthetic.h"
#include "data/write.h"

namespace yolov3 {
namespace {

constexpr size_t kListed = 20;

void report(const std::vector<LoadedSplit>& loaded, const std::map<std::string, Dataset>& splits,
            const std::vector<Loss>& losses, const std::filesystem::path& out) {
  int64_t pictures = 0, objects = 0;
  for (const auto& [name, dataset] : splits) {
    pictures += static_cast<int64_t>(dataset.examples.size());
    for (const Example& example : dataset.examples) objects += static_cast<int64_t>(example.objects.size());
  }
  objects -= std::count_if(losses.begin(), losses.end(), [](const Loss& loss) { return loss.gone; });
  std::string text = findings_of(loaded, kListed);
  if (!losses.empty()) text += "not said by the new files:\n" + describe(losses, kListed);
  if (!text.empty()) {
    log_line(fit_for_terminal(text) + fmt::format("all of it: {}", (out / "not-converted.txt").string()));
  }
  log_info("{} pictures, {} objects", pictures, objects);
}

}  // namespace

int run_data_convert(const std::vector<std::string>& arguments) {
  DataOptions data;
  std::string bad_data = "skip", split = "all", to;
  std::filesystem::path out;
  WriteOptions write;
  Options options("data convert", "writes a data set in another format; the source is never touched");
  options.example("yolov3 data convert --data voc/ --to yolo --out yolo", "images/, labels/ and data.yaml");
  options.example("yolov3 data convert --data instances.json --images val2017 --to lines --out lines",
                  "the notes' annotation lines; what they cannot say is listed");
  add_data_options(options, data, &bad_data);
  options.add("to", &to, "the format to write").choices({"lines", "voc", "coco", "yolo"});
  options.add("out", &out, "folder to make").placeholder("DIR");
  options.add("split", &split, "which part").choices({"all", "train", "val", "test"});
  if (!options.parse(arguments)) {
    print(options.help());
    return 0;
  }
  options.require("data", "the data set, e.g. --data data.yaml");
  options.require("to", "the format to write: lines, voc, coco or yolo");
  options.require("out", "the folder to make, e.g. --out converted");
  check_out_folder(out, "--out", data);
  data.bad_data = parse_bad_data_policy(bad_data);
  write.threads = data.threads;
  std::vector<LoadedSplit> loaded = load_splits(data, split);
  const std::map<std::string, Dataset> splits = splits_to_write(loaded);
  write.notes = findings_of(loaded, std::numeric_limits<size_t>::max());
  const DataFormat format = parse_data_format(to);
  const std::vector<Loss> losses = write_folder(out, format, splits, write);
  report(loaded, splits, losses, out);
  print(written_data(out, format).string() + "\n");
  return 0;
}

int run_data_synth(const std::vector<std::string>& arguments) {
  std::filesystem::path out;
  int count = 240;
  uint64_t seed = 0;
  std::string to = "lines";
  WriteOptions write;
  Options options("data synth", "writes the built-in data set (digits 0 to 9 on textured grounds) as files");
  options.example("yolov3 data synth --out digits --count 240",
                  "240 training, 48 validation and 48 test pictures; train with --data digits/data.yaml");
  options.add("out", &out, "folder to make").placeholder("DIR");
  options.add("count", &count, "of training pictures; validation and test get a fifth each").range(1, 10000000);
  options.add("to", &to, "the format of the annotations").choices({"lines", "voc", "coco", "yolo"});
  options.add("seed", &seed, "the same seed gives the same bytes");
  options.add("extension", &write.extension, "of the pictures; .png keeps every pixel, .jpg is smaller")
      .choices({".png", ".jpg"});
  options.add("threads", &write.threads, "that draw; 0 = all").range(0, 4096);
  if (!options.parse(arguments)) {
    print(options.help());
    return 0;
  }
  options.require("out", "the folder to make, e.g. --out digits");
  const int64_t fifth = std::max(1, count / 5);
  const DataFormat format = parse_data_format(to);
  check_new_folder(out);
  write_folder(out, format,
               {{"train", synthetic_dataset(seed, "train", count)},
                {"val", synthetic_dataset(seed, "val", fifth)},
                {"test", synthetic_dataset(seed, "test", fifth)}},
               write);
  print(written_data(out, format).string() + "\n");
  return 0;
}

}  // namespace yolov3
