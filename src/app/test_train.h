// For tests: `yolov3 train` of a small network on the built-in pictures, within a second.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "app/test_folder.h"
#include "app/test_program.h"
#include "base/files.h"
#include "base/interrupt.h"
#include "net/builder.h"
#include "net/cfg.h"

namespace yolov3 {

class TrainsSmallNetworks : public ::testing::Test {
 protected:
  void SetUp() override {
    clear_interrupt();
    NetworkBuilder net({3, 64, 64});
    net.conv(4, 3, 2).conv(8, 3, 2).conv(8, 3, 2);
    net.conv(45, 1, 1, Activation::linear, false).yolo({{10, 12}, {18, 24}, {30, 36}}, {0, 1, 2}, 10);
    write_file(folder_ / "small.cfg", write_cfg(net.build()));
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  // One epoch into runs/; `more` wins.
  Words fresh(const Words& more = {}) const {
    return joined({"train", "--data", "synthetic:4", "--model", path("small.cfg"), "--imgsz", "64", "--epochs", "1",
                   "--batch", "4", "--threads", "1", "--val", "false", "--project", path("runs")},
                  more);
  }

  const std::filesystem::path folder_ = make_test_folder("train");
};

}  // namespace yolov3
