#include "data/coco.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "data/json_stream.h"
#include "data/source.h"
#include "data/test_folder.h"

namespace yolov3 {
namespace {

namespace fs = std::filesystem;

CocoData parse(const std::string& text) {
  std::istringstream in(text);
  return parse_coco(in, "i.json");
}
std::string error_in(const std::string& text) {
  return error_of([&] { parse(text); });
}

const char* const kSmall = R"({
"info": {"year": 2017, "list": [1, {"a": []}]},
"annotations": [
 {"id": 5, "image_id": 70, "category_id": 3, "bbox": [1, 2, 3.5, 4], "area": 7.25, "iscrowd": 0,
  "segmentation": [[1, 2, 4, 2, 4, 6]]},
 {"id": 6, "image_id": 70, "category_id": 90, "bbox": [0, 0, 8, 8], "iscrowd": 1,
  "segmentation": {"counts": [0, 64], "size": [8, 8]}},
 {"id": 7, "image_id": 4, "category_id": 90, "bbox": [0, 0, 2, 2], "ignore": 1, "segmentation": []}],
"images": [{"id": 70, "file_name": "a.png", "width": 8, "height": 8, "license": 3}, {"id": 4, "file_name": "b.png"}],
"categories": [{"id": 90, "name": "tooth brush", "supercategory": "x"}, {"id": 3, "name": "dog"}]
})";

TEST(Coco, ListsInAnyOrderAreReadAndTheRestIsCounted) {
  CocoData data = parse(kSmall);
  ASSERT_EQ(data.categories.size(), 2u);
  EXPECT_EQ(data.categories[0].name, "dog");
  ASSERT_EQ(data.pictures.size(), 2u);
  EXPECT_EQ(data.pictures[0].image, "a.png");
  EXPECT_EQ(data.pictures[0].image_id, 70);
  EXPECT_EQ(data.pictures[0].width, 8);
  EXPECT_EQ(data.pictures[0].line, 9);
  ASSERT_EQ(data.pictures[0].boxes.size(), 2u);
  const StatedBox& dog = data.pictures[0].boxes[0];
  EXPECT_EQ(std::tuple(dog.x0, dog.y0, dog.x1, dog.y1), std::tuple(1.0, 2.0, 4.5, 6.0));
  EXPECT_EQ(dog.area, 7.25);
  EXPECT_EQ(dog.line, 4);
  EXPECT_EQ(dog.id, 5);
  EXPECT_FALSE(dog.crowd);
  EXPECT_TRUE(data.pictures[0].boxes[1].crowd);
  EXPECT_LT(data.pictures[0].boxes[1].area, 0);
  EXPECT_TRUE(data.pictures[1].boxes.at(0).difficult);
  EXPECT_EQ(data.unheld,
            (Counts{{"info", 1}, {"annotation segmentation", 2}, {"image license", 1}, {"category supercategory", 1}}));
  name_classes(data, {"tooth brush", "cat"});
  EXPECT_EQ(data.pictures[0].boxes[0].class_id, -1);
  EXPECT_EQ(data.pictures[0].boxes[0].problem, "dog");
  EXPECT_EQ(data.pictures[0].boxes[1].class_id, 0);
  EXPECT_EQ(category_ids(data.categories, {"tooth brush", "cat", "dog"}), (std::vector<int64_t>{90, 1, 3}));
}

TEST(Coco, AsADataSetWithDefectsByPlace) {
  const TestFolder folder;
  for (const char* name : {"a.png", "b.png"}) folder.picture(name + std::string(), 8, 8);
  DataOptions options;
  options.data = folder.write("i.json", kSmall).string();
  DefectReport report;
  const Dataset dataset = load_dataset(options, "train", report);
  EXPECT_EQ(dataset.names, (std::vector<std::string>{"dog", "tooth brush"}));
  EXPECT_EQ(dataset.category_ids, (std::vector<int64_t>{3, 90}));
  ASSERT_EQ(dataset.examples.size(), 2u);
  EXPECT_EQ(dataset.examples[0].image_id, 70);
  ASSERT_EQ(dataset.examples[0].objects.size(), 2u);
  EXPECT_EQ(dataset.examples[0].objects[0], (Annotation{{1, 2, 4.5f, 6}, 0, false, false, 7.25f}));
  EXPECT_EQ(dataset.examples[0].objects[1], (Annotation{{0, 0, 8, 8}, 1, false, true, 64}));
  EXPECT_EQ(dataset.examples[1].objects.at(0), (Annotation{{0, 0, 2, 2}, 1, true, false, 4}));
  EXPECT_TRUE(report.defects.empty());
  EXPECT_EQ(splits_of(options), (std::vector<std::string>{kWholeDataset}));
}

// Ten sound pictures, then `images`, and `annotations`.
DefectReport report_of(const TestFolder& folder, const std::string& images, const std::string& annotations) {
  std::string text = "{\"categories\":[{\"id\":0,\"name\":\"dog\"}],\n\"images\":[";
  for (int i = 0; i < 40; ++i) {
    const std::string name = "p" + std::to_string(i) + ".png";
    folder.picture("images/" + name, 40, 30);
    text += "{\"id\":" + std::to_string(i) + ",\"file_name\":\"" + name + "\"},";
  }
  text.back() = '\n';
  text += images + "],\n\"annotations\":[";
  for (int i = 0; i < 200; ++i) {
    text += "{\"id\":" + std::to_string(1000 + i) + ",\"image_id\":" + std::to_string(i % 40) +
            ",\"category_id\":0,\"bbox\":[" + std::to_string(i / 40 * 8) + ",1,7,20]},";
  }
  text.back() = '\n';
  text += annotations + "]}";
  DataOptions options;
  options.data = folder.write("annotations/instances_x.json", text).string();
  DefectReport report;
  load_dataset(options, "train", report);
  return report;
}

TEST(Coco, D6D7EveryDefectIsCountedWithItsPlace) {
  const TestFolder folder;
  const std::string file = (folder / "annotations/instances_x.json").string();
  const DefectReport report =
      report_of(folder, ",{\"id\":99,\"file_name\":\"gone.png\"},{\"id\":3,\"file_name\":\"p3.png\"}",
                R"(,{"id":1,"image_id":0,"category_id":7,"bbox":[1,1,2,2]}
,{"id":2,"image_id":1,"category_id":0,"bbox":[30,5,-9,2]}
,{"id":3,"image_id":2,"category_id":0,"bbox":[1,1,2]}
,{"id":4,"image_id":3,"category_id":0,"bbox":[1,1,0,2]}
,{"id":5,"image_id":12345,"category_id":0,"bbox":[1,1,2,2]}
,{"id":1000,"image_id":5,"category_id":0,"bbox":[1,22,3,3]}
,{"id":8,"image_id":6,"category_id":0,"bbox":[0,0,60,20]})");
  EXPECT_EQ(report.counts(), (Counts{{"missing image", 1},
                                     {"broken image entry", 1},
                                     {"wrong class", 1},
                                     {"inverted box", 1},
                                     {"unreadable box", 1},
                                     {"zero-area box", 1},
                                     {"annotation without image", 1},
                                     {"double annotation id", 1},
                                     {"box exceeds image", 1}}))
      << describe(report, 20);
  std::map<std::string, std::string> where;
  for (const Defect& defect : report.defects) where[defect.reason] = defect.where;
  EXPECT_EQ(where["wrong class"], file + ":5: annotation 1");
  EXPECT_EQ(where["zero-area box"], file + ":8: annotation 4");
  EXPECT_EQ(where["annotation without image"], file + ":9: annotation 5");
  EXPECT_EQ(where["missing image"], file + ":3");
}

TEST(Coco, PicturesAreLookedForAroundTheFile) {
  const char* const kText =
      R"({"images":[{"id":1,"file_name":"a.png"}],"annotations":[],"categories":[{"id":1,"name":"x"}]})";
  for (const char* place : {"set/annotations", "set/annotations/images", "set/train2017", "set/images/train2017", "set",
                            "set/images", "set/JPEGImages"}) {
    const TestFolder folder;
    const fs::path file = folder.write("set/annotations/instances_train2017.json", kText);
    folder.picture(place + std::string("/a.png"), 8, 8);
    EXPECT_TRUE(fs::equivalent(find_coco_images(file, parse(kText)), folder / place)) << place;
  }
  const TestFolder folder;
  folder.picture("elsewhere/a.png", 8, 8);
  DataOptions options;
  options.data = folder.write("i.json", kText).string();
  DefectReport report;
  EXPECT_THROW(load_dataset(options, "train", report), Error);
  options.images = folder / "elsewhere";
  EXPECT_EQ(load_dataset(options, "train", report).examples.size(), 1u);
}

TEST(Coco, WhatIsNoDataSetIsAnErrorWithItsLine) {
  EXPECT_TRUE(contains(error_in(""), "not valid JSON"));
  EXPECT_TRUE(contains(error_in("7"), "expected an object"));
  EXPECT_TRUE(contains(error_in("[\n{\"image_id\":1}]"), "results file"));
  EXPECT_TRUE(contains(error_in("{}"), "is missing"));
  EXPECT_TRUE(contains(error_in("{\n\"images\": 3}"), "i.json:2: expected a list"));
  EXPECT_TRUE(contains(error_in("{\n\"images\": {}}"), "expected a list"));
  EXPECT_TRUE(contains(error_in("{\"images\": [1]}"), "expected {...}"));
  EXPECT_TRUE(contains(error_in("{\"images\": [[]]}"), "expected {...}"));
  EXPECT_TRUE(contains(error_in("{\"images\":[],\"images\":[]}"), "stands twice"));
  EXPECT_TRUE(contains(error_in("{\"images\":[{\"id\":1,\"file_name\":\"a\"}],\"annotations\":[],\"categories\":[]}"),
                       "categories is empty"));
  EXPECT_TRUE(
      contains(error_in("{\"categories\":[{\"id\":1,\"name\":\"a\"},\n{\"id\":1,\"name\":\"b\"}],\"images\":[{}],"
                        "\"annotations\":[]}"),
               "category id 1 stands twice"));
  EXPECT_TRUE(contains(error_in("{\"categories\":[{\"name\":\"a\"}]}"), "no whole number as id"));
  EXPECT_TRUE(contains(error_in("{\"x\":" + std::string(100, '[')), "nested deeper"));
  EXPECT_TRUE(contains(error_in(std::string(kSmall) + "x"), "not valid JSON"));
  std::string whole = kSmall;
  for (size_t n = 0; n < whole.size(); n += 7) EXPECT_THROW(parse(whole.substr(0, n)), Error) << n;
  for (const std::string& text : damaged(whole)) {
    try {
      parse(text);
    } catch (const Error&) {
    }
  }
}

TEST(Coco, ABoxThatHoldsSomethingElseIsSpoiltForGood) {
  for (const char* bbox :
       {R"(["x",1,2,3,4])", R"([null,1])", R"([1,2,3,4,5,6])", R"([[1,2,3,4]])", R"({"a":1})", "7", "[]"}) {
    const CocoData data =
        parse(std::string(R"({"categories":[{"id":1,"name":"a"}],"images":[{"id":1,"file_name":"a"}],)") +
              R"("annotations":[{"image_id":1,"category_id":1,"bbox":)" + bbox + "}]}");
    EXPECT_TRUE(data.pictures.at(0).boxes.at(0).unreadable) << bbox;
  }
}

// A stream that makes up a file far larger than its memory: `pieces` outlines of about 20 kB each.
class EndlessOutlines : public std::streambuf {
 public:
  explicit EndlessOutlines(int pieces) : pieces_(pieces) {
    outline_ = ",{\"id\":1,\"image_id\":1,\"category_id\":1,\"bbox\":[0,0,1,1],\"segmentation\":[[";
    for (int i = 0; i < 5000; ++i) outline_ += "12,";
    outline_ += "1]]}";
  }

 private:
  int_type underflow() override {
    if (given_ > pieces_ + 1) return traits_type::eof();
    text_ = given_ == 0 ? "{\"categories\":[{\"id\":1,\"name\":\"a\"}],\"images\":[{\"id\":1,\"file_name\":\"a\"}],"
                          "\"annotations\":[{}"
            : given_ <= pieces_ ? outline_
                                : "]}";
    ++given_;
    setg(text_.data(), text_.data(), text_.data() + text_.size());
    return traits_type::to_int_type(text_[0]);
  }
  const int pieces_;
  int given_ = 0;
  std::string outline_, text_;
};

int64_t peak_kb() {
  const std::string status = [] {
    std::ifstream in("/proc/self/status");
    return std::string(std::istreambuf_iterator<char>(in), {});
  }();
  const size_t at = status.find("VmHWM:");
  return at == std::string::npos ? 0 : std::stoll(status.substr(at + 6));
}

TEST(Coco, SlowAHugeFileIsStreamedInBoundedMemory) {
  constexpr int kOutlines = 15'000;  // 225 MB of text
  EndlessOutlines bytes(kOutlines);
  std::istream in(&bytes);
  const int64_t before = peak_kb();
  const CocoData data = parse_coco(in, "huge.json");
  EXPECT_EQ(data.pictures.at(0).boxes.size(), static_cast<size_t>(kOutlines));
  EXPECT_LT(peak_kb() - before, 32 * 1024) << "15000 boxes of about 150 bytes, with vectors that double";
}

TEST(Coco, ATokenThatNeverEndsIsRefused) {
  class Letters : public std::streambuf {
    int_type underflow() override {
      const bool first = text_.empty();
      text_ = first ? "{\"" : std::string(1 << 16, 'a');
      setg(text_.data(), text_.data(), text_.data() + text_.size());
      return traits_type::to_int_type(text_[0]);
    }
    std::string text_;
  } letters;
  std::istream in(&letters);
  EXPECT_TRUE(contains(error_of([&] { parse_coco(in, "i.json"); }), "without a whole value"));
}

// Of exporters that put everything into quotation marks.
TEST(Coco, QuotedNumbersAreNumbers) {
  const CocoData data = parse(
      R"({"images":[{"id":"7","file_name":"12","width":"8","height":"8"}],"categories":[{"id":"3","name":"5"}],
"annotations":[{"id":"1","image_id":"7","category_id":"3","bbox":[1,2,3,4],"area":"6.5","iscrowd":"1"},
{"image_id":7,"category_id":"cat","bbox":[1,2,3,4]},{"image_id":"x","category_id":3,"bbox":[1,2,3,4]}]})");
  EXPECT_EQ(data.pictures.at(0).image_id, 7);
  EXPECT_EQ(data.pictures[0].image, "12");
  EXPECT_EQ(data.pictures[0].width, 8);
  EXPECT_EQ(data.categories.at(0).name, "5");
  ASSERT_EQ(data.pictures[0].boxes.size(), 2u);
  const StatedBox& box = data.pictures[0].boxes[0];
  EXPECT_EQ(box.id, 1);
  EXPECT_EQ(box.class_id, 3);
  EXPECT_EQ(box.area, 6.5);
  EXPECT_TRUE(box.crowd);
  EXPECT_TRUE(data.pictures[0].boxes[1].unreadable);
  EXPECT_TRUE(contains(data.pictures[0].boxes[1].problem, "category_id"));
  ASSERT_EQ(data.loose.size(), 1u);
  EXPECT_TRUE(contains(data.loose[0].detail, "no whole number as image_id"));
}

TEST(Coco, ABoxOfNaNIsNoJsonAndSaysWhere) {
  EXPECT_TRUE(
      contains(error_in("{\"images\":[],\n\"annotations\":[{\"bbox\":[NaN,1,2,3]}]}"), "i.json:2: not valid JSON"));
}

// The same annotations before and behind the images: the order of a picture's boxes is that of the file.
TEST(Coco, TheOrderOfTheListsChangesNothing) {
  const std::string images = R"("images":[{"id":1,"file_name":"a"},{"id":2,"file_name":"b"}])";
  const std::string categories = R"("categories":[{"id":1,"name":"x"}])";
  std::string annotations = "\"annotations\":[";
  for (int i = 0; i < 6; ++i) {
    annotations += std::string(i == 0 ? "" : ",") + "{\"id\":" + std::to_string(i) +
                   ",\"image_id\":" + std::to_string(1 + i % 3) + ",\"category_id\":1,\"bbox\":[" + std::to_string(i) +
                   ",0,1,1]}";
  }
  annotations += "]";
  const CocoData before = parse("{" + annotations + "," + images + "," + categories + "}");
  const CocoData behind = parse("{" + images + "," + annotations + "," + categories + "}");
  for (const CocoData* data : {&before, &behind}) {
    std::vector<double> starts;
    for (const StatedPicture& picture : data->pictures) {
      for (const StatedBox& box : picture.boxes) starts.push_back(box.x0);
    }
    EXPECT_EQ(starts, (std::vector<double>{0, 3, 1, 4}));
    EXPECT_EQ(data->loose.size(), 2u) << "image 3 is not there";
  }
}

TEST(Coco, PicturesThatMovedAreFoundByTheirNames) {
  const TestFolder folder;
  const auto text = [](const std::string& file_name) {
    return "{\"images\":[{\"id\":1,\"file_name\":\"" + file_name +
           "\"}],\"annotations\":[],\"categories\":[{\"id\":1,\"name\":\"x\"}]}";
  };
  folder.picture("pictures/a.png", 8, 8);
  folder.picture("pictures/sub/b.png", 8, 8);
  for (const char* file_name : {"a.png", "/home/bob/data/a.png", "old/place/a.png", "old\\\\a.png", "sub/b.png",
                                "sub\\\\b.png", "D:\\\\x\\\\a.png"}) {
    DataOptions options = options_for(folder.write("i.json", text(file_name)));
    options.images = folder / "pictures";
    DefectReport report;
    EXPECT_EQ(load_dataset(options, "train", report).examples.size(), 1u) << file_name;
  }
  // Without --images too.
  DefectReport report;
  folder.picture("images/a.png", 8, 8);
  const fs::path moved = folder.write("i.json", text("train/a.png"));
  EXPECT_EQ(load_dataset(options_for(moved), "train", report).examples.at(0).image, folder / "images/a.png");
}

}  // namespace
}  // namespace yolov3
