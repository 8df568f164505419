#include "app/sources.h"

#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "app/test_folder.h"
#include "base/error.h"
#include "base/files.h"

namespace yolov3 {
namespace {

namespace fs = std::filesystem;

class Sources : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"b.jpg", "a.png", "notes.txt", "c.JPEG", "sub/b.jpg", "sub/12.png"}) {
      fs::create_directories((folder_ / name).parent_path());
      write_file(folder_ / name, "x");
    }
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::vector<std::string> names(const std::string& source) {
    std::vector<std::string> result;
    for (const PictureSource& picture : expand_source(source)) {
      result.push_back(picture.path.lexically_relative(folder_).string());
    }
    return result;
  }
  std::string error_of(const std::string& source) {
    try {
      expand_source(source);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }

  fs::path folder_ = make_test_folder("sources");
};

using Names = std::vector<std::string>;

TEST_F(Sources, FileFolderAndGlob) {
  EXPECT_EQ(names((folder_ / "b.jpg").string()), (Names{"b.jpg"}));
  EXPECT_EQ(names(folder_.string()), (Names{"a.png", "b.jpg", "c.JPEG"}));
  EXPECT_EQ(names((folder_ / "*.jpg").string()), (Names{"b.jpg"}));
  EXPECT_EQ(names((folder_ / "*/*").string()), (Names{"sub/12.png", "sub/b.jpg"}));
  EXPECT_EQ(names((folder_ / "{a,b}.*").string()), (Names{"a.png", "b.jpg"}));
}

TEST_F(Sources, ListsAreRelativeToThemselvesAndKeepTheirOrder) {
  write_file(folder_ / "list.txt", "\xEF\xBB\xBFsub/b.jpg\r\n\r\n  b.jpg \nmissing picture.jpg\n");
  EXPECT_EQ(names((folder_ / "list.txt").string()), (Names{"sub/b.jpg", "b.jpg", "missing picture.jpg"}));
  write_file(folder_ / "empty.txt", "\n \n");
  EXPECT_NE(error_of((folder_ / "empty.txt").string()).find("no pictures there"), std::string::npos);
  write_file(folder_ / "binary.txt", std::string("a\0b", 3));
  EXPECT_NE(error_of((folder_ / "binary.txt").string()).find("zero bytes"), std::string::npos);
}

TEST_F(Sources, NoTwoPicturesShareAStem) {
  write_file(folder_ / "list.txt", "b.jpg\nsub/b.jpg\nb-2.jpg\nb.jpg\n");
  std::vector<std::string> stems;
  for (const PictureSource& picture : expand_source((folder_ / "list.txt").string())) stems.push_back(picture.stem);
  EXPECT_EQ(stems, (Names{"b", "b-2", "b-2-2", "b-3"}));
}

TEST_F(Sources, NumbersInNamesAreImageIdsOnlyWhenAllAreNumbers) {
  write_file(folder_ / "numbers.txt", "000000000139.jpg\n285.jpg\n");
  const auto numbers = expand_source((folder_ / "numbers.txt").string());
  EXPECT_EQ(numbers[0].image_id, 139);
  EXPECT_EQ(numbers[1].image_id, 285);
  for (const char* text : {"7.jpg\nx.jpg\n", "7.jpg\n007.jpg\n"}) {
    write_file(folder_ / "mixed.txt", text);
    const auto mixed = expand_source((folder_ / "mixed.txt").string());
    EXPECT_EQ(mixed[0].image_id, 1);
    EXPECT_EQ(mixed[1].image_id, 2);
  }
}

TEST_F(Sources, WhatIsNoPictureSourceIsRefused) {
  EXPECT_NE(error_of((folder_ / "none").string()).find("no such file or folder"), std::string::npos);
  EXPECT_NE(error_of((folder_ / "*.gif").string()).find("no pictures there"), std::string::npos);
  make_directories(folder_ / "outer/inner");
  const std::string outer = (folder_ / "outer").string();
  EXPECT_NE(error_of(outer).find("folders inside it are not searched, \"" + outer + "/*/*.jpg\" would"),
            std::string::npos)
      << error_of(outer);
  for (const char* stream : {"clip.MP4", "0", "rtsp://host/stream", "https://host/a.jpg"}) {
    EXPECT_NE(error_of(stream).find("reads pictures only"), std::string::npos) << stream;
  }
}

TEST_F(Sources, FreshFoldersNeverReuseOneWithFiles) {
  const fs::path wanted = folder_ / "runs/exp";
  EXPECT_EQ(make_fresh_folder(wanted), wanted);
  EXPECT_EQ(make_fresh_folder(wanted), folder_ / "runs/exp2") << "the first is another run's";
  write_file(wanted / "x", "1");
  EXPECT_EQ(make_fresh_folder(wanted / ""), folder_ / "runs/exp3");
  EXPECT_EQ(read_file(wanted / "x"), "1");
  make_directories(folder_ / "empty");
  EXPECT_EQ(make_fresh_folder(folder_ / "empty"), folder_ / "empty");
  EXPECT_EQ(make_fresh_folder(folder_ / "empty"), folder_ / "empty2");
}

TEST_F(Sources, AFileInTheWayOfResultsIsAnError) {
  EXPECT_THROW(make_fresh_folder(folder_ / "b.jpg"), Error);
  EXPECT_FALSE(fs::exists(folder_ / "b.jpg2"));
  EXPECT_THROW(make_fresh_folder("/dev/null"), Error);
  fs::create_symlink("nowhere", folder_ / "dangling");
  EXPECT_THROW(make_fresh_folder(folder_ / "dangling"), Error);
}

TEST_F(Sources, RunsAtOnceNeverShareAFolder) {
  make_directories(folder_ / "runs");
  make_directories(folder_ / "runs/exp");
  std::vector<fs::path> folders(16);
  std::vector<std::thread> threads;
  for (fs::path& folder : folders) {
    threads.emplace_back([&] { folder = make_fresh_folder(folder_ / "runs/exp"); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(std::set<fs::path>(folders.begin(), folders.end()).size(), folders.size());
}

TEST_F(Sources, StemsLeaveRoomForEndings) {
  std::string umlauts;
  for (int i = 0; i < 120; ++i) umlauts += "\xc3\xa4";  // 2 bytes each
  write_file(folder_ / "list.txt", "x" + umlauts + ".jpg\nx" + umlauts + "y.jpg\n" + std::string(300, 'z') + "\n");
  const auto pictures = expand_source((folder_ / "list.txt").string());
  EXPECT_EQ(pictures[0].stem, "x" + umlauts.substr(0, 198));
  EXPECT_EQ(pictures[1].stem, "x" + umlauts.substr(0, 198) + "-2");
  EXPECT_EQ(pictures[2].stem, std::string(200, 'z'));
}

}  // namespace
}  // namespace yolov3
