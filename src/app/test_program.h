// For tests: the program run in this process, as main() runs it, and the small network that its commands are tried on.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "app/program.h"

#define EXPECT_SAYS(text, words) EXPECT_NE((text).find(words), std::string::npos) << (text)

namespace yolov3 {

using Words = std::vector<std::string>;

struct Ran {
  int code = 0;
  std::string out, err;
};

inline Ran run(const Words& words) {
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  Ran ran;
  ran.code = run_program(words);
  ran.out = ::testing::internal::GetCapturedStdout();
  ran.err = ::testing::internal::GetCapturedStderr();
  return ran;
}

inline Words joined(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

// Two classes, one head with stride 32 at 64 x 64.
inline constexpr const char* kSmallCfg = R"([net]
width=64
height=64
channels=3
[convolutional]
batch_normalize=1
filters=4
size=3
stride=2
pad=1
activation=leaky
[maxpool]
size=16
stride=16
padding=0
[convolutional]
filters=14
size=1
stride=1
pad=1
activation=linear
[yolo]
mask=0,1
anchors=20,20, 40,30
classes=2
num=2
)";

}  // namespace yolov3
