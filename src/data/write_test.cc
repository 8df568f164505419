#include "data/write.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <iostream>

#include "base/interrupt.h"
#include "data/source.h"
#include "data/synthetic.h"
#include "data/test_folder.h"

namespace yolov3 {
namespace {

TEST(Write, SyntheticDataReadsBackEqual) {
  const TestFolder folder;
  const std::map<std::string, Dataset> sets = {{"train", synthetic_dataset(4, "train", 5)},
                                               {"val", synthetic_dataset(4, "val", 2)}};
  write_dataset(folder / "out", DataFormat::lines, sets);
  for (const auto& [split, want] : sets) {
    DataOptions options;
    options.data = (folder / "out/data.yaml").string();
    options.bad_data = BadDataPolicy::error;
    DefectReport report;
    const Dataset got = load_dataset(options, split, report);
    EXPECT_EQ(got.names, want.names);
    ASSERT_EQ(got.examples.size(), want.examples.size());
    for (size_t i = 0; i < want.examples.size(); ++i) {
      EXPECT_EQ(got.examples[i].objects, want.examples[i].objects);
      EXPECT_EQ(load_example(got.examples[i]).image, load_example(want.examples[i]).image);
    }
  }
  EXPECT_EQ(read_class_names(folder / "out/names.txt"), sets.at("train").names);
  EXPECT_FALSE(std::filesystem::exists(folder / "out/not-converted.txt")) << "nothing was lost";
  EXPECT_TRUE(contains(error_of([&] { write_dataset(folder / "out", DataFormat::lines, sets); }),
                       "expected a new or empty folder"));
}

TEST(Write, TouchesNoFolderThatHoldsSomething) {
  const TestFolder folder;
  const std::map<std::string, Dataset> sets = {{"train", synthetic_dataset(4, "train", 1)}};
  folder.write("out/names.txt", "mine\n");
  EXPECT_TRUE(contains(error_of([&] { write_dataset(folder / "out", DataFormat::lines, sets); }),
                       "expected a new or empty folder"));
  EXPECT_EQ(read_file(folder / "out/names.txt"), "mine\n");
  EXPECT_EQ(list_files(folder / "out").size(), 1u);
  make_directories(folder / "empty");
  EXPECT_NO_THROW(write_dataset(folder / "empty", DataFormat::lines, sets));
}

TEST(Write, FilesAreCopiedByteByByteAndNamesKeepTheirSpelling) {
  const TestFolder folder;
  Dataset dataset;
  dataset.names = {"no", "say \"hi\" \\ there", "3"};
  dataset.examples.resize(1);
  dataset.examples[0].image = folder.picture("Picture.JPG", 20, 10);
  Annotation object;
  object.box = {0.1f, 1.0f / 3, 19.999999f, 9.7f};
  object.class_id = 1;
  object.area = object.box.area();
  dataset.examples[0].objects = {object};
  write_dataset(folder / "out", DataFormat::lines, {{"train", dataset}});
  EXPECT_EQ(read_file(folder / "out/images/train/Picture.JPG"), read_file(folder / "Picture.JPG"));
  DataOptions options;
  options.data = (folder / "out/data.yaml").string();
  DefectReport report;
  const Dataset got = load_dataset(options, "train", report);
  EXPECT_EQ(got.names, dataset.names);
  EXPECT_EQ(got.examples.at(0).objects, dataset.examples[0].objects);
}

TEST(Write, RefusesSplitsThatDoNotFitTogether) {
  const TestFolder folder;
  Dataset a = synthetic_dataset(0, "train", 1), b = a;
  b.names.pop_back();
  EXPECT_TRUE(contains(error_of([&] {
                         write_dataset(folder / "o", DataFormat::lines, {{"train", a}, {"val", b}});
                       }),
                       "class names"));
  const std::string other = error_of([&] { write_dataset(folder / "o", DataFormat::lines, {{"dev", a}}); });
  EXPECT_TRUE(contains(other, "found dev"));
  EXPECT_TRUE(contains(other, "a data.yaml can call them so"));
  EXPECT_FALSE(std::filesystem::exists(folder / "o"));
}

// Boxes of awkward floats, a difficult one, a crowd with an area of its own, a thin one, and a background.
Dataset awkward(const TestFolder& folder) {
  Dataset dataset;
  dataset.names = {"zebra", "a & <b>", "never seen"};
  dataset.category_ids = {7, 3, 90};
  const auto object = [](Box box, int class_id) { return Annotation{box, class_id, false, false, box.area()}; };
  Example one{folder.picture("one.png", 97, 61), {}, 42, {}, 97, 61, "one"};
  one.objects = {object({0.1f, 1.0f / 3, 96.999f, 60.7f}, 0), object({0, 0, 97, 61}, 1),
                 object({10.25f, 20.5f, 30.125f, 40.75f}, 0)};
  one.objects[2].difficult = true;
  Annotation crowd = object({5, 5, 50, 50}, 1), thin = object({7, 7, 8, 30}, 0);
  crowd.crowd = true;
  crowd.area = 1234.5f;
  one.objects.push_back(crowd);
  one.objects.push_back(thin);
  dataset.examples = {one, {folder.picture("sub/one.jpg", 20, 10), {}, 41, {}, 20, 10, "two"}};
  return dataset;
}

struct Written {
  std::map<std::string, int64_t> lost;
  Dataset read;
};

Written write_and_read(const TestFolder& folder, DataFormat format, const std::map<std::string, Dataset>& splits) {
  Written written;
  const std::filesystem::path out = folder / ("out-" + to_string(format));
  for (const Loss& loss : write_dataset(out, format, splits)) ++written.lost[loss.what];
  DataOptions options;
  options.data = written_data(out, format).string();
  if (format == DataFormat::voc) options.names = out / "names.txt";
  DefectReport report;
  written.read = load_dataset(options, "train", report);
  EXPECT_TRUE(report.defects.empty()) << describe(report, 9);
  return written;
}

TEST(Write, CocoReadsBackEverything) {
  const TestFolder folder;
  const Dataset want = awkward(folder);
  const Written got = write_and_read(folder, DataFormat::coco, {{"train", want}, {"val", want}});
  EXPECT_EQ(got.lost, (Counts{{"name of the picture", 2}})) << "one.jpg beside one.png, in both splits";
  EXPECT_EQ(got.read.names, want.names);
  EXPECT_EQ(got.read.category_ids, want.category_ids);
  ASSERT_EQ(got.read.examples.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(got.read.examples[i].objects, want.examples[i].objects) << "bit for bit";
    EXPECT_EQ(got.read.examples[i].image_id, want.examples[i].image_id);
  }
  EXPECT_EQ(got.read.examples[0].image.filename(), "one.png");
  EXPECT_EQ(got.read.examples[1].image.filename(), "one_2.jpg") << "labels are named by stems, which are unique";
}

// What is left of the awkward set without crowds, areas and the flags that a format has not.
std::vector<Annotation> without(std::vector<Annotation> objects, bool difficult, bool thin) {
  std::erase_if(objects, [&](const Annotation& object) { return object.crowd || (!thin && object.box.width() <= 1); });
  if (!difficult) {
    for (Annotation& object : objects) object.difficult = false;
  }
  return objects;
}

TEST(Write, VocReadsBackWhatItCanSayAndListsTheRest) {
  const TestFolder folder;
  const Dataset want = awkward(folder);
  const Written got = write_and_read(folder, DataFormat::voc, {{"train", want}});
  EXPECT_EQ(got.lost, (Counts{{"crowd region", 1},
                              {"name of the picture", 1},
                              {"box of 1 px or less", 1},
                              {"ids of images and categories", 1},
                              {"order of the classes, or some without objects", 1}}));
  EXPECT_EQ(got.read.names, want.names);
  EXPECT_EQ(got.read.examples.at(0).objects, without(want.examples[0].objects, true, false));
  EXPECT_TRUE(got.read.examples.at(1).objects.empty());
  EXPECT_TRUE(contains(read_file(folder / "out-voc/not-converted.txt"), "one: crowd region: a & <b> 5,5,50,50"));
}

TEST(Write, YoloAndLinesReadBackTheSameFloats) {
  for (const DataFormat format : {DataFormat::yolo, DataFormat::lines}) {
    const TestFolder folder;
    const Dataset want = awkward(folder);
    const Written got = write_and_read(folder, format, {{"train", want}});
    EXPECT_EQ(got.lost, (Counts{{"crowd region", 1},
                                {"\"difficult\"", 1},
                                {"name of the picture", 1},
                                {"ids of images and categories", 1}}));
    EXPECT_EQ(got.read.names, want.names);
    ASSERT_EQ(got.read.examples.size(), 2u);
    EXPECT_EQ(got.read.examples[0].objects, without(want.examples[0].objects, false, true)) << to_string(format);
    EXPECT_TRUE(got.read.examples[1].objects.empty());
  }
}

// COCO states an area for every object: a line for each would be longer than the data set.
TEST(Write, WhatManyObjectsLoseIsToldAPictureAtATime) {
  const TestFolder folder;
  Dataset dataset = awkward(folder);
  dataset.category_ids = {};
  for (Annotation& object : dataset.examples[0].objects) object.area *= 0.7f;
  const std::vector<Loss> losses = write_dataset(folder / "out", DataFormat::yolo, {{"train", dataset}});
  std::map<std::string, std::pair<int64_t, std::string>> told;
  for (const Loss& loss : losses) told[loss.what] = {loss.count, loss.detail};
  ASSERT_EQ(losses.size(), 4u);
  EXPECT_EQ(told["area of its own"], std::pair(int64_t{4}, std::string("4 of 5 objects"))) << "the fifth is the crowd";
  EXPECT_EQ(told["\"difficult\""], std::pair(int64_t{1}, std::string("1 of 5 objects")));
  EXPECT_TRUE(contains(describe(losses, 0), "       4  area of its own\n"));
}

TEST(Write, SyntheticDataInEveryFormat) {
  for (const DataFormat format : {DataFormat::lines, DataFormat::voc, DataFormat::coco, DataFormat::yolo}) {
    const TestFolder folder;
    const Dataset want = synthetic_dataset(4, "train", 5);
    const Written got = write_and_read(folder, format, {{"train", want}});
    ASSERT_EQ(got.read.examples.size(), 5u);
    for (size_t i = 0; i < 5; ++i) {
      EXPECT_EQ(got.read.examples[i].objects, want.examples[i].objects) << to_string(format) << i;
      EXPECT_EQ(load_example(got.read.examples[i]).image, load_example(want.examples[i]).image);
    }
  }
}

TEST(Write, AFailureLeavesNothingBehind) {
  const TestFolder folder;
  Dataset dataset = awkward(folder);
  std::filesystem::remove(dataset.examples[1].image);
  EXPECT_THROW(write_dataset(folder / "out", DataFormat::yolo, {{"train", dataset}}), Error);
  EXPECT_FALSE(std::filesystem::exists(folder / "out"));
  EXPECT_EQ(list_files(folder / "").size(), 1u) << "one.png alone, nothing unfinished";
  for (const auto& entry : std::filesystem::directory_iterator(folder / "")) {
    EXPECT_FALSE(entry.path().filename().string().starts_with(".")) << entry.path();
  }
}

// Frames of many folders are called the same: names must not be searched from the beginning each time.
TEST(Write, ManyPicturesOfOneNameAreRenamedAndListed) {
  const TestFolder folder;
  Dataset dataset;
  dataset.names = {"a"};
  constexpr int kCopies = 3000;
  const std::filesystem::path first = folder.picture("0.png", 8, 8), other = folder.picture("x/0.png", 8, 8);
  for (int i = 0; i < kCopies; ++i) {
    dataset.examples.push_back({i == 0 ? first : other, {}, i, {}, 8, 8, "list:" + std::to_string(i)});
  }
  dataset.examples.push_back({folder.picture("0_2.png", 8, 8), {}, kCopies, {}, 8, 8, "its own"});
  std::vector<Loss> losses;
  for (Loss& loss : write_dataset(folder / "out", DataFormat::lines, {{"train", dataset}})) {
    if (loss.what == "name of the picture") losses.push_back(std::move(loss));
  }
  ASSERT_EQ(losses.size(), static_cast<size_t>(kCopies));
  EXPECT_EQ(losses[0].where, "list:1");
  EXPECT_EQ(losses[0].detail, "0.png is now 0_2.png");
  EXPECT_EQ(losses.back().detail, "0_2.png is now 0_2_2.png");
  EXPECT_EQ(list_files(folder / "out/images/train").size(), static_cast<size_t>(kCopies) + 1);
  EXPECT_TRUE(
      contains(read_file(folder / "out/not-converted.txt"), "list:2: name of the picture: 0.png is now 0_3.png"));
}

TEST(Write, ALossIsOneLineWhateverTheNamesHold) {
  const std::string text = describe({{"crowd region", "a\nb.txt:1", true, "x\r\ty"}}, 9);
  EXPECT_TRUE(contains(text, "  a?b.txt:1: crowd region: x??y\n")) << text;
}

TEST(Write, WhatIsInTheWayIsSaidBeforehand) {
  const TestFolder folder;
  folder.write("file", "x");
  folder.write("full/x", "x");
  make_directories(folder / "empty");
  std::filesystem::create_symlink("none", folder / "link");
  EXPECT_TRUE(contains(error_of([&] { check_new_folder(folder / "link"); }), "leads nowhere"));
  EXPECT_NO_THROW(check_new_folder(folder / "new/deeper"));
  EXPECT_NO_THROW(check_new_folder(folder / "empty"));
  EXPECT_TRUE(contains(error_of([&] { check_new_folder(folder / "full"); }), "holds something"));
  EXPECT_TRUE(contains(error_of([&] { check_new_folder(folder / "file"); }), "found a file"));
  EXPECT_TRUE(
      contains(error_of([&] { check_new_folder(folder / "file/new"); }), "file: expected a folder, found a file"));
}

// It was "No such file or directory" on a read-only disk: errno was read before it was set.
TEST(Write, WhyAFolderCannotBeMadeIsSaid) {
  const TestFolder folder;
  make_directories(folder / "closed");
  std::filesystem::permissions(folder / "", std::filesystem::perms(0755));
  std::filesystem::permissions(folder / "closed", std::filesystem::perms(0555));
  const auto ask_as_nobody = [&] {
    if (::getuid() == 0 && ::setuid(65534) != 0) {
      std::cerr << "closed: cannot create a folder here: Permission denied (not tried: root is all that there is)";
    } else {
      std::cerr << error_of([&] { check_new_folder(folder / "closed/new"); });
    }
    std::_Exit(0);
  };
  EXPECT_EXIT(ask_as_nobody(), ::testing::ExitedWithCode(0), "closed: cannot create a folder here: Permission denied");
}

TEST(Write, TheFolderHasTheRightsOfOneMadeByHand) {
  const TestFolder folder;
  write_dataset(folder / "out", DataFormat::yolo, {{"train", synthetic_dataset(4, "train", 1)}});
  make_directories(folder / "by hand");
  EXPECT_EQ(std::filesystem::status(folder / "out").permissions(),
            std::filesystem::status(folder / "by hand").permissions());
}

TEST(Write, AnInterruptLeavesNothingBehind) {
  const TestFolder folder;
  install_interrupt_handlers();
  ::raise(SIGINT);
  for (const DataFormat format : {DataFormat::lines, DataFormat::voc, DataFormat::coco, DataFormat::yolo}) {
    EXPECT_TRUE(contains(error_of([&] {
                           write_dataset(folder / "out", format, {{"train", synthetic_dataset(4, "train", 3)}});
                         }),
                         "interrupted"));
    EXPECT_TRUE(std::filesystem::is_empty(folder / "")) << to_string(format);
  }
  clear_interrupt();
}

// A file size limit stands for a disk that is full.
TEST(Write, AFullDiskLeavesNothingBehind) {
  const TestFolder folder;
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{20'000, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const std::string message = error_of([&] {
    write_dataset(folder / "out", DataFormat::lines, {{"train", synthetic_dataset(4, "train", 3)}});
  });
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_TRUE(contains(message, "cannot write: "));
  EXPECT_TRUE(std::filesystem::is_empty(folder / ""));
}

}  // namespace
}  // namespace yolov3
