// What this room's tests share: a folder of their own, a small network whose every number is known, other programs.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <string>

#include "base/error.h"
#include "format/model_file.h"
#include "net/builder.h"

#define EXPECT_SAYS(message, words) EXPECT_NE((message).find(words), std::string::npos) << (message)

namespace yolov3::testing {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "yolov3_format_XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw Error("cannot make a folder for the test");
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// Two heads, batch norm and bias, a skip and a join: every way in which a parameter is stored.
inline NetworkSpec small_network() {
  NetworkBuilder net({3, 32, 64});
  net.conv(4, 3).conv(8, 3, 2);                                    // 0, 1
  net.conv(4, 1).conv(8, 3).shortcut(1);                           // 2, 3, 4
  net.conv(8, 3, 2);                                               // 5
  net.conv(2 * 7, 1, 1, Activation::linear, false);                // 6
  net.yolo({{4, 5}, {8, 9}, {16, 17}, {30, 31}}, {2, 3}, 2);       // 7
  net.route({5}).conv(4, 1).upsample().route({10, 4}).conv(6, 3);  // 8 - 12
  net.conv(2 * 7, 1, 1, Activation::linear, false);                // 13
  net.yolo({{4, 5}, {8, 9}, {16, 17}, {30, 31}}, {0, 1}, 2);       // 14
  return net.build();
}

// Parameter number i of the network, counted through all slots in Darknet's order, is i/8: exact in float32.
inline Weights counted_weights(const NetworkSpec& spec) {
  Weights weights = zero_weights(spec);
  int64_t i = 0;
  for (Tensor& tensor : weights.tensors) {
    for (float& value : tensor.values()) value = static_cast<float>(i++) / 8;
  }
  return weights;
}

inline Model small_model() {
  const NetworkSpec spec = small_network();
  return {spec, counted_weights(spec), {"traffic light", "caf\xc3\xa9"}, {{"epoch", "7"}, {"mAP_0.5", "0.75"}}};
}

// Of small_network(). Layers that pass a map on have its scale.
inline Quantization small_quantization() {
  Quantization quantization{std::vector<float>(15, 0.5f), {0, 6, 13}};
  for (size_t layer = 0; layer < 4; ++layer) quantization.scales[layer] = 0.25f;
  return quantization;
}

inline TrainingState small_state() {
  TrainingState state;
  Tensor moments({2, 3});
  for (int64_t i = 0; i < moments.size(); ++i) moments[i] = 0.5f * static_cast<float>(i);
  state.tensors["adam/exp_avg/layer0.kernel"] = moments;
  state.tensors["adam/exp_avg_sq/layer0.kernel"] = Tensor({1, 1, 2, 2});
  state.tensors["scalar"] = Tensor(Shape{});
  state.tensors["none"] = Tensor({0, 4});
  state.values["step"] = "1234";
  state.values["options/args.toml"] = std::string(100000, 'x') + "\n[a]\nb = \"\xc3\xa9\"\n";
  state.values["empty"] = "";
  return state;
}

// The message of the Error that `action` throws; empty when it throws none.
inline std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

inline void expect_has(const std::string& message, std::initializer_list<const char*> parts) {
  for (const char* part : parts) EXPECT_SAYS(message, part);
}

struct Outcome {
  int status = -1;
  std::string output;
};

inline Outcome run(const std::string& command) {
  Outcome outcome;
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return outcome;
  std::array<char, 4096> chunk;
  while (const size_t got = std::fread(chunk.data(), 1, chunk.size(), pipe)) outcome.output.append(chunk.data(), got);
  const int status = ::pclose(pipe);
  outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return outcome;
}

inline bool have(const std::string& command) { return run("command -v " + command).status == 0; }

}  // namespace yolov3::testing
