// yolov3 replay
#include "train/replay.h"

#include "app/options.h"
#include "app/program.h"
#include "app/train_options.h"
#include "base/error.h"

namespace yolov3 {

int run_replay(const std::vector<std::string>& given) {
  std::filesystem::path file;
  std::string precision = "auto";
  int threads = 0;
  Options options("replay", "run the step again that was not finite in a training, and see where it goes wrong");
  options.example("yolov3 replay runs/train/exp/replay-000123.h5",
                  "as trained, by the reference engine, and by LibTorch with loss and gradients");
  options
      .add("file", &file,
           "what a run wrote into its folder when a loss or gradient was not finite; --file may be left out")
      .placeholder("FILE");
  options
      .add("precision", &precision,
           "of LibTorch's way; auto = float64 for small networks and batches, float32 for others, where it takes "
           "minutes")
      .choices({"auto", "f32", "f64"});
  options.add("threads", &threads, "of the network; 0 = as many as the run had").range(0, 4096);
  std::vector<std::string> arguments = given;
  if (!arguments.empty() && !arguments[0].starts_with("-") && arguments[0].find('=') == std::string::npos) {
    arguments.insert(arguments.begin(), "--file");
  }
  if (!options.parse(arguments)) {
    print(options.help());
    return 0;
  }
  options.require("file", "the replay-*.h5 of a run, e.g. yolov3 replay runs/train/exp/replay-000123.h5");
  const ReplayCase step = load_replay(file);
  TrainOptions train = parse_train_options(step.args_toml, file.string() + " (args)");
  if (threads > 0) train.threads = threads;
  print(replay_step(step, train, precision).text);
  return 0;
}

}  // namespace yolov3
