// OpenCV's DNN module on the case of write_case, from the same Darknet files.
//
//   ocv_bench CASE check 0 THREADS     writes CASE/outputs/opencv-f32.f32
//   ocv_bench CASE time RUNS THREADS   prints "opencv-f32 MS MS ..."
//   ocv_bench CASE version 0 0
//
// OpenCV decodes the boxes in its region layers, so the maps are asked of the convolutions before them.
#include <chrono>
#include <cstdio>
#include <fstream>
#include <opencv2/dnn.hpp>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

std::vector<std::string> head_layers(const std::string& folder) {
  std::ifstream file(folder + "/heads.txt");
  std::vector<std::string> names;
  int layer = 0, channels = 0, height = 0, width = 0;
  while (file >> layer >> channels >> height >> width) names.push_back("conv_" + std::to_string(layer));
  if (names.empty()) throw std::runtime_error(folder + "/heads.txt: no heads");
  return names;
}

// heads.txt does not say the input's size; the planes are square.
cv::Mat read_input(const std::string& folder) {
  std::ifstream file(folder + "/input.f32", std::ios::binary | std::ios::ate);
  const auto bytes = static_cast<size_t>(file.tellg());
  const int side = static_cast<int>(std::lround(std::sqrt(static_cast<double>(bytes / sizeof(float) / 3))));
  const int shape[] = {1, 3, side, side};
  cv::Mat input(4, shape, CV_32F);
  if (input.total() * sizeof(float) != bytes) throw std::runtime_error(folder + "/input.f32: not square");
  file.seekg(0);
  file.read(input.ptr<char>(), static_cast<std::streamsize>(bytes));
  return input;
}

void run(const std::string& folder, const std::string& mode, int runs, int threads) {
  cv::setNumThreads(threads);
  cv::dnn::Net net = cv::dnn::readNetFromDarknet(folder + "/yolov3.cfg", folder + "/yolov3.weights");
  net.setPreferableBackend(cv::dnn::DNN_BACKEND_OPENCV);
  net.setPreferableTarget(cv::dnn::DNN_TARGET_CPU);
  const std::vector<std::string> names = head_layers(folder);
  const cv::Mat input = read_input(folder);
  std::vector<cv::Mat> maps;
  const auto forward = [&] {
    net.setInput(input);
    net.forward(maps, names);
  };
  forward();
  if (mode == "check") {
    std::ofstream out(folder + "/outputs/opencv-f32.f32", std::ios::binary);
    for (const cv::Mat& map : maps) {
      out.write(map.ptr<char>(), static_cast<std::streamsize>(map.total() * sizeof(float)));
    }
    if (!out.flush()) throw std::runtime_error("cannot write the maps");
    return;
  }
  forward();
  std::printf("opencv-f32");
  for (int i = 0; i < runs; ++i) {
    const auto start = std::chrono::steady_clock::now();
    forward();
    std::printf(" %.3f", std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
  }
  std::printf("\n");
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 5) throw std::runtime_error("usage: ocv_bench CASE check|time|version RUNS THREADS");
  if (std::string(argv[2]) == "version") {
    std::printf("OpenCV %s\n", CV_VERSION);
  } else {
    run(argv[1], argv[2], std::stoi(argv[3]), std::stoi(argv[4]));
  }
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "ocv_bench: %s\n", error.what());
  return 1;
}
