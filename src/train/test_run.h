// What the tests of whole training runs share.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "base/interrupt.h"
#include "base/text.h"
#include "net/builder.h"
#include "net/cfg.h"
#include "train/checkpoint.h"
#include "train/options.h"
#include "train/trainer.h"

namespace yolov3 {

// Every test trains in a folder of its own, on the built-in pictures, with a network small enough for a second.
class TrainingRunTest : public ::testing::Test {
 protected:
  TrainingRunTest() {
    std::string name = (std::filesystem::temp_directory_path() / "yolov3_train_XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw Error("cannot make a folder for the test");
    folder_ = name;
    NetworkBuilder net({3, 64, 64});
    net.conv(8, 3, 2).conv(16, 3, 2).conv(16, 3, 2).conv(16, 1).conv(16, 3).shortcut(2);
    net.conv(45, 1, 1, Activation::linear, false).yolo({{10, 12}, {18, 24}, {30, 36}}, {0, 1, 2}, 10);
    spec_ = net.build();
    write_file(folder_ / "small.cfg", write_cfg(spec_));
    install_interrupt_handlers();
    clear_interrupt();
  }
  ~TrainingRunTest() override {
    clear_interrupt();
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  TrainOptions options(const std::string& name, int epochs = 2) const {
    TrainOptions options;
    options.data.data = "synthetic:10";
    options.model = (folder_ / "small.cfg").string();
    options.width = options.height = 64;
    options.batch = 4;  // 3 steps an epoch, the last of 2 pictures
    options.epochs = epochs;
    options.warmup_epochs = 1;
    options.precision = "f32";
    options.threads = 1;
    options.project = folder_ / "runs";
    options.name = name;
    return options;
  }

  static Checkpoint at_end(const TrainResult& result) { return *load_checkpoint(result.run_directory / "weights"); }

  static void expect_same(const Checkpoint& got, const Checkpoint& want) {
    EXPECT_EQ(got.model.weights, want.model.weights);
    EXPECT_EQ(got.state.tensors, want.state.tensors);
    EXPECT_EQ(got.position.step, want.position.step);
  }

  static std::string error_of(const std::function<void()>& action) {
    try {
      action();
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }

  // The rows of results.csv, split.
  static std::vector<std::vector<std::string>> rows(const std::filesystem::path& run) {
    const std::string text = read_file(run / "results.csv");
    std::vector<std::vector<std::string>> rows;
    for (const std::string_view line : split_lines(text)) {
      rows.emplace_back();
      for (const std::string_view field : split(line, ',')) rows.back().emplace_back(field);
    }
    rows.erase(rows.begin());
    return rows;
  }

  static std::vector<double> rates(const std::filesystem::path& run) {
    std::vector<double> rates;
    for (const auto& row : rows(run)) rates.push_back(*parse_number(row.back()));
    return rates;
  }

  std::filesystem::path folder_;
  NetworkSpec spec_;
};

}  // namespace yolov3
