// Valid files for the fuzzers to start from: without them a fuzzer never gets past a magic number.
//   make_seeds CORPUS      writes CORPUS/fuzz_NAME/seed*
#include <hdf5.h>

#include <iostream>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "base/rng.h"
#include "engine/plan.h"
#include "engine/training_plan.h"
#include "format/darknet_weights.h"
#include "format/events.h"
#include "format/keras_weights.h"
#include "format/sealed_file.h"
#include "image/save.h"
#include "net/models.h"
#include "seed_models.h"

namespace fs = std::filesystem;
using namespace std::string_literals;
using namespace yolov3;

namespace {

// Every kind of layer, every key that shapes one.
constexpr const char* kAllLayers = R"([network]
batch=64
width = 64 # pixels
height=64
channels=3
bn_epsilon=0.001
; a comment
[conv]
batch_normalize=1
filters=8
size=3
stride=2
pad=1
activation=mish
[conv]
filters=8
size=5
padding=2
groups=4
dilation=1
activation=swish
[max]
size=3
stride=1
[route]
layers=-1, 0
groups=2
group_id=1
[dropout]
probability=.25
[upsample]
stride=2
[avg]
[scale_channels]
from=5
activation=logistic
[shortcut]
from=-3
activation=relu
[convolutional]
filters=14
activation=linear
[yolo]
mask=1,0
anchors=1.5,2, 3,4
num=2
classes=2
scale_x_y=1.05
ignore_thresh=.7
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

// A kind of picture that our own code cannot write.
void put_encoded(const fs::path& path, const cv::Mat& picture, const std::vector<int>& how = {}) {
  std::vector<uint8_t> bytes;
  check(cv::imencode(path.extension().string(), picture, bytes, how), "{}: OpenCV cannot write it", path.string());
  write_file(path, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

// Every kind that is read, with the traits that have code of their own.
void put_pictures(const fs::path& folder) {
  make_directories(folder);
  save_image(folder / "seed.jpg", picture());
  save_image(folder / "seed.png", picture());
  put(folder / "seed.ppm", "P6\n2 1\n255\nabcdef");
  put(folder / "seed.pgm", "P5 # grey\n2 1 65535\nabcd");
  const Image rgb = picture();
  const cv::Mat colour(rgb.height, rgb.width, CV_8UC3, const_cast<uint8_t*>(rgb.rgb.data()));
  cv::Mat grey, deep, alpha, deep_grey;
  cv::cvtColor(colour, grey, cv::COLOR_RGB2GRAY);
  cv::cvtColor(colour, alpha, cv::COLOR_RGB2BGRA);
  colour.convertTo(deep, CV_16U, 257);
  grey.convertTo(deep_grey, CV_16U, 257);
  for (const char* ending : {".bmp", ".tiff", ".webp"}) put_encoded(folder / ("seed"s + ending), colour);
  put_encoded(folder / "seed-lossless.webp", alpha, {cv::IMWRITE_WEBP_QUALITY, 101});
  put_encoded(folder / "seed-deep.tiff", deep);
  put_encoded(folder / "seed-deep.png", deep_grey);
  put_encoded(folder / "seed-alpha.png", alpha);
  put_encoded(folder / "seed-grey.jpg", grey);
  put_encoded(folder / "seed-progressive.jpg", colour,
              {cv::IMWRITE_JPEG_PROGRESSIVE, 1, cv::IMWRITE_JPEG_RST_INTERVAL, 1});
  const std::string jpeg = read_file(folder / "seed.jpg");
  const std::string turned =
      "\xff\xe1\x00\x22"
      "Exif\0\0"
      "II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"s;
  put(folder / "seed-exif.jpg", jpeg.substr(0, 2) + turned + jpeg.substr(2));
}

// Without the seal, which the fuzzer stands behind.
void put_model(const fs::path& path) {
  const TrainingState state = seed_state();
  make_directories(path.parent_path());
  save_model(path, seed_model(), &state);
  const std::string sealed = read_file(path);
  write_file(path, sealed.substr(0, sealed.size() - kSealSize));
}

// Of the network that the fuzzers have: whole, and its first convolution alone.
void put_darknet(const fs::path& folder) {
  const NetworkSpec spec = seed_network();
  make_directories(folder);
  save_darknet_weights(folder / "seed", spec, random_weights(spec), {.seen = 640});
  save_darknet_weights(folder / "seed-backbone", spec, random_weights(spec), {.layers = 1});
}

void put_keras(const fs::path& folder) {
  make_directories(folder);
  save_keras_weights(folder / "seed.h5", seed_network(), random_weights(seed_network()));
}

herr_t copy_attribute(hid_t from, const char* name, const H5A_info_t*, void* to) {
  const hid_t attribute = H5Aopen(from, name, H5P_DEFAULT), type = H5Aget_type(attribute),
              space = H5Aget_space(attribute);
  std::vector<char> bytes(H5Aget_storage_size(attribute) + 1);
  H5Aread(attribute, type, bytes.data());
  const hid_t copy = H5Acreate2(*static_cast<hid_t*>(to), name, type, space, H5P_DEFAULT, H5P_DEFAULT);
  H5Awrite(copy, type, bytes.data());
  H5Aclose(copy);
  H5Sclose(space);
  H5Tclose(type);
  H5Aclose(attribute);
  return 0;
}

herr_t copy_object(hid_t from, const char* name, const H5L_info_t*, void* to) {
  return H5Ocopy(from, name, *static_cast<hid_t*>(to), name, H5P_DEFAULT, H5P_DEFAULT);
}

// The same contents in HDF5's oldest format, whose blocks have no checksums: changed bytes get past HDF5's own doors.
void put_in_old_format(const fs::path& file, const fs::path& copy) {
  const hid_t from = H5Fopen(file.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  hid_t to = H5Fcreate(copy.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  const herr_t objects = H5Literate(from, H5_INDEX_NAME, H5_ITER_NATIVE, nullptr, copy_object, &to);
  const herr_t attributes = H5Aiterate2(from, H5_INDEX_NAME, H5_ITER_NATIVE, nullptr, copy_attribute, &to);
  check(objects >= 0 && attributes >= 0 && H5Fclose(to) >= 0 && H5Fclose(from) >= 0, "{}: cannot be copied",
        file.string());
}

// Each kind of event by itself, and all of them as a file.
void put_events(const fs::path& folder) {
  const std::string events[] = {encode_scalar_event(1, 2, {{"lr", 0.5f}, {"loss/total_loss", 3}}),
                                encode_picture_event(1, 3, "val", {2, 1, "bytes"}),
                                encode_pr_curve_event(1, 4, "pr/dog", {{2, 1}, {1, 0}, {0, 1}}),
                                encode_session_start_event(1, 2)};
  std::string file;
  for (const std::string& event : events) {
    put(folder / fmt::format("seed{}", file.size()), event);
    file += frame_record(event);
  }
  put(folder / "seed-file", file);
}

}  // namespace

int main(int argc, char** argv) try {
  check(argc == 2, "usage: make_seeds CORPUS");
  const fs::path corpus = argv[1];
  put(corpus / "fuzz_cfg/seed", kSeedCfg);
  put(corpus / "fuzz_cfg/seed-all-layers", kAllLayers);
  put(corpus / "fuzz_cfg/seed-tiny", write_cfg(yolov3_tiny()));
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
  put(corpus / "fuzz_run_table/seed", "epoch, time,train/box_loss\n0,1.5,nan\r\n1,2e300,-0\n1,2\n\n2,x,");
  put_events(corpus / "fuzz_events");
  put_pictures(corpus / "fuzz_image");
  put_model(corpus / "fuzz_model_file/seed.h5");
  put_in_old_format(corpus / "fuzz_model_file/seed.h5", corpus / "fuzz_model_file/seed-old.h5");
  put_darknet(corpus / "fuzz_darknet_weights");
  put_keras(corpus / "fuzz_keras_weights");
  put_in_old_format(corpus / "fuzz_keras_weights/seed.h5", corpus / "fuzz_keras_weights/seed-old.h5");
  const NetworkSpec spec = seed_model().spec;
  put(corpus / "fuzz_plan/seed", write_plan(rule_plan(spec, "f32", nullptr)));
  put(corpus / "fuzz_plan/seed-int8", "plan 1 f32=blocked16 bf16=channels_last: f32-direct int8-direct int8-direct\n");
  put(corpus / "fuzz_plan/seed-training", write_training_plan(rule_training_plan(spec, "f32")));
  for (const char* name : {"fuzz_model_structure", "fuzz_keras_structure"}) {  // any bytes are a list of edits
    Rng rng(1);
    for (int i = 0; i < 32; ++i) {
      std::string bytes(static_cast<size_t>(rng.integer(16, 400)), '\0');
      for (char& c : bytes) c = static_cast<char>(rng.next());
      put(corpus / name / fmt::format("seed{}", i), bytes);
    }
  }
  return 0;
} catch (const std::exception& error) {
  std::cerr << "make_seeds: " << error.what() << "\n";
  return 1;
}
