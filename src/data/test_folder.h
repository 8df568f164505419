// For tests: a folder of their own that goes away, files and small pictures in it, and texts as accidents leave them.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "base/rng.h"
#include "data/source.h"
#include "image/save.h"

namespace yolov3 {

class TestFolder {
 public:
  TestFolder() {
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    path_ = std::filesystem::temp_directory_path() /
            (std::string("yolov3_") + test->test_suite_name() + "_" + test->name() + "_" + std::to_string(::getpid()));
    std::filesystem::remove_all(path_);
    make_directories(path_);
  }
  ~TestFolder() { std::filesystem::remove_all(path_); }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;

  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  std::filesystem::path write(const std::string& name, std::string_view text) const {
    make_directories((path_ / name).parent_path());
    write_file(path_ / name, text);
    return path_ / name;
  }
  std::filesystem::path picture(const std::string& name, int width, int height) const {
    make_directories((path_ / name).parent_path());
    save_image(path_ / name, Image(width, height, 90));
    return path_ / name;
  }

 private:
  std::filesystem::path path_;
};

// `text` cut at every 1/16, then with bytes changed, then random bytes of growing size. Seeded.
inline std::vector<std::string> damaged(const std::string& text) {
  std::vector<std::string> all;
  for (size_t i = 0; i < 16; ++i) all.push_back(text.substr(0, text.size() * i / 16));
  Rng rng(16);
  for (int i = 0; i < 64; ++i) {
    std::string changed = text;
    for (int64_t k = rng.integer(1, 8); k > 0; --k) {
      changed[static_cast<size_t>(rng.integer(0, static_cast<int64_t>(text.size()) - 1))] =
          static_cast<char>(rng.next());
    }
    all.push_back(changed);
  }
  for (size_t size = 1; size <= 4096; size *= 4) {
    std::string random(size, ' ');
    for (char& c : random) c = static_cast<char>(rng.next());
    all.push_back(random);
  }
  return all;
}

inline DataOptions options_for(const std::filesystem::path& data, const std::filesystem::path& names = {}) {
  DataOptions options;
  options.data = data.string();
  options.names = names;
  return options;
}

using Counts = std::map<std::string, int64_t>;

// What the call's Error says; fails the test when there is none.
template <class Call>
std::string error_of(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "expected an Error";
  return "";
}

inline ::testing::AssertionResult contains(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "\"" << text << "\" lacks \"" << part << "\"";
}

}  // namespace yolov3
