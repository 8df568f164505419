// Valid files for the fuzzers to start from: without them a fuzzer never gets past a magic number.
//   make_seeds CORPUS      writes CORPUS/fuzz_NAME/seed*
#include <iostream>

#include "base/error.h"
#include "base/files.h"
#include "format/darknet_weights.h"
#include "format/keras_weights.h"
#include "format/model_file.h"
#include "format/sealed_file.h"
#include "image/save.h"
#include "net/builder.h"
#include "net/cfg.h"

namespace fs = std::filesystem;
using namespace yolov3;

namespace {

constexpr const char* kCfg = R"([net]
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
[convolutional]
filters=4
size=1
stride=1
pad=1
activation=linear
[shortcut]
from=-2
activation=linear
[route]
layers=-1,0
[upsample]
stride=2
[maxpool]
size=32
stride=32
padding=0
[convolutional]
filters=14
size=1
stride=1
pad=1
activation=linear
[yolo]
mask=0,1
anchors=10,13, 16,30
classes=2
num=2
)";

constexpr const char* kVoc =
    "<annotation><filename>a.jpg</filename><size><width>9</width><height>9</height></size><object><name>dog</name>"
    "<difficult>1</difficult><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox></object></"
    "annotation>";

// What annotation tools and the development kits write, well and badly.
constexpr const char* kFullVoc =
    "<?xml version=\"1.0\"?>\n<annotation verified=\"yes\">\n\t<folder>x</folder><filename>b 1.png</filename>\n"
    "<source><database>Unknown</database></source><owner><name>?</name></owner><size><width>64</width><height>48"
    "</height><depth>3</depth></size><segmented>1</segmented>\n<object><name>traffic light</name><pose>Left</pose>"
    "<truncated>1</truncated><bndbox><xmin>1.5</xmin><ymin>2</ymin><xmax>64</xmax><ymax>48</ymax></bndbox><part><name>"
    "head</name><bndbox/></part></object>\n<object><name>cat</name><bndbox><xmin>9</xmin><ymin>9</ymin><xmax>3</xmax>"
    "<ymax>3</ymax></bndbox></object><object><name>dog</name><bndbox><xmin>x</xmin></bndbox></object></annotation>";

constexpr const char* kCoco =
    R"({"images":[{"id":1,"file_name":"a.jpg","width":9,"height":9}],"categories":[{"id":3,"name":"dog"}],)"
    R"("annotations":[{"id":1,"image_id":1,"category_id":3,"bbox":[1,2,3,4],"area":12,"iscrowd":0}]})";

void put(const fs::path& path, const std::string& bytes) {
  make_directories(path.parent_path());
  write_file(path, bytes);
}

Image picture() {
  Image image(40, 24);
  for (size_t i = 0; i < image.rgb.size(); ++i) image.rgb[i] = static_cast<uint8_t>(i * i >> 6);
  return image;
}

// The fuzzer puts its own seal behind what it made of these bytes.
void put_model(const fs::path& path) {
  Model model;
  model.spec = parse_cfg(kCfg, "seed.cfg").spec;
  model.weights = random_weights(model.spec);
  model.names = {"dog", "traffic light"};
  TrainingState state;
  state.tensors["adam/step"] = Tensor({2, 2});
  state.values["epoch"] = "1";
  make_directories(path.parent_path());
  save_model(path, model, &state);
  const std::string sealed = read_file(path);
  write_file(path, sealed.substr(0, sealed.size() - kSealSize));
}

// Of the network that the fuzzer has (fuzz_darknet_weights.cc): whole, and its first convolution alone.
void put_darknet(const fs::path& folder) {
  const NetworkSpec spec = NetworkBuilder({3, 8, 8}).conv(2, 1).conv(6, 1, 1, Activation::linear, false).build();
  make_directories(folder);
  save_darknet_weights(folder / "seed", spec, random_weights(spec), {.seen = 640});
  save_darknet_weights(folder / "seed-backbone", spec, random_weights(spec), {.layers = 1});
}

// Of the network of fuzz_keras_weights.cc.
void put_keras(const fs::path& folder) {
  const NetworkSpec spec =
      NetworkBuilder({3, 8, 8}).conv(2, 1).conv(6, 1, 1, Activation::linear, false).yolo({{4, 4}}, {0}, 1).build();
  make_directories(folder);
  save_keras_weights(folder / "seed.h5", spec, random_weights(spec));
}

}  // namespace

int main(int argc, char** argv) try {
  check(argc == 2, "usage: make_seeds CORPUS");
  const fs::path corpus = argv[1];
  put(corpus / "fuzz_cfg/seed", kCfg);
  put(corpus / "fuzz_lines/seed", "a b.jpg 1,2,3,4,0 5.5,6,7,8,1\nbackground.png\n");
  put(corpus / "fuzz_lines/seed-windows",
      "\xef\xbb\xbf"
      "a.jpg 1,2,3,4,0 1,2,3,4,0 1,2,3.01,4,0\r\n\r\nno extension 9,9,1,1,1 70,1,80,9,1\r\n");
  put(corpus / "fuzz_lines/seed-broken",
      "a b.jpg 1,2,nan,4,0 5,6,7,8 x 1e9,1,1e10,2,0 1,1,9,9,7\n/abs/c.png 0,0,0,5,0\n");
  put(corpus / "fuzz_voc/seed", kVoc);
  put(corpus / "fuzz_voc/seed-full", kFullVoc);
  put(corpus / "fuzz_data_yaml/seed",
      "path: .\ntrain: [a.txt, synthetic:4]\nval: b\nnc: 2\nnames: {0: dog, 1: traffic light}\n");
  put(corpus / "fuzz_data_yaml/seed-ultralytics",
      "# comment\npath: ../x  # root\ntrain: images/train\nval:\n  - images/val\n  - images/val2\ntest:\n\nnames:\n  "
      "0: person\n"
      "  1: \"no\"\ndownload: |\n  import x\n");
  put(corpus / "fuzz_data_yaml/seed-roboflow",
      "train: ../train/images\nval: ../valid/images\n\nnc: 1\nnames: ['cell']\n\nroboflow:\n  version: 1\n");
  put(corpus / "fuzz_class_names/seed",
      "\xef\xbb\xbf"
      "dog\r\ntraffic light\r\n\r\n");
  put(corpus / "fuzz_options/seed", "conf = 0.5\nsizes = [1, 2]\nname = \"x\"\nimgsz = \"64x32\"\n");
  put(corpus / "fuzz_coco/seed-truth", kCoco);
  put(corpus / "fuzz_coco_data/seed", kCoco);
  put(corpus / "fuzz_coco_data/seed-crowd",
      R"({"info":{"a":[1,{}]},"categories":[{"id":90,"name":"dog"},{"id":0,"name":"cat"}],"annotations":[{"id":1,)"
      R"("image_id":7,"category_id":90,"bbox":[0.5,1,2,3.25],"segmentation":{"counts":[1,2],"size":[9,9]},"iscrowd":1},)"
      R"({"image_id":7,"category_id":0,"bbox":[1,1,2,2],"segmentation":[[1,2,3,4,5,6]],"ignore":1}],)"
      R"("images":[{"id":7,"file_name":"x/a.jpg","width":9,"height":9}]})");
  put(corpus / "fuzz_coco_data/seed-quoted",
      R"({"images":[{"id":"1","file_name":"a\\b.jpg","width":"64","height":48.0}],"annotations":[{"id":"5",)"
      R"("image_id":"1","category_id":"3","bbox":[0,0,64,48],"area":"12.5","iscrowd":"0"},{"id":5,"image_id":9,)"
      R"("category_id":null,"bbox":[1,2,3]},{"image_id":1,"category_id":3,"bbox":[60,40,-9,0]}],)"
      R"("categories":[{"id":3,"name":" dog "}]})");
  put(corpus / "fuzz_yolo/seed", "0 0.5 0.5 0.25 0.125\n1 0.1 0.2 0.3 0.4 0.5 0.6\n");
  put(corpus / "fuzz_yolo/seed-broken",
      "0 0.5 0.5 0.25 0.125\r\n0 0.5 0.5 0.25 0.125\r\n9 0.5 0.5 0.1 0.1\ndog 1 2 3 4\n1 320 240 50 60\n0 0.9 0.9 0.9 "
      "0.9\n");
  put(corpus / "fuzz_yolo/seed-path", "a/images/b/JPEGImages/c d.jpg");
  put(corpus / "fuzz_darknet_data/seed", "classes= 2\ntrain = a b.txt\nvalid=v.txt\nnames = n.names\nbackup = b/\n");
  put(corpus / "fuzz_darknet_data/seed-comments", "# a\r\n; b\r\n\r\nval=v.txt\r\ntest = t.txt\r\ntop=5\r\n");
  put(corpus / "fuzz_coco/seed-results", R"([{"image_id":1,"category_id":3,"bbox":[1,2,3,4],"score":0.5}])");
  make_directories(corpus / "fuzz_image");
  save_image(corpus / "fuzz_image/seed.jpg", picture());
  save_image(corpus / "fuzz_image/seed.png", picture());
  put(corpus / "fuzz_image/seed.ppm", "P6\n2 1\n255\nabcdef");
  put_model(corpus / "fuzz_model_file/seed.h5");
  put_darknet(corpus / "fuzz_darknet_weights");
  put_keras(corpus / "fuzz_keras_weights");
  return 0;
} catch (const std::exception& error) {
  std::cerr << "make_seeds: " << error.what() << "\n";
  return 1;
}
