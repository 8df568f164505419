#include "image/onnx_runner.h"

#include <algorithm>
#include <opencv2/core/utils/logger.hpp>
#include <opencv2/dnn.hpp>

#include "base/error.h"

namespace yolov3 {
namespace {

// What OpenCV has to say comes in its exception; without this it would say it on stderr as well.
class Quiet {
 public:
  Quiet() : level_(cv::utils::logging::setLogLevel(cv::utils::logging::LOG_LEVEL_SILENT)) {
    cv::redirectError([](int, const char*, const char*, const char*, int, void*) { return 0; });
  }
  ~Quiet() {
    cv::redirectError(nullptr);
    cv::utils::logging::setLogLevel(level_);
  }

 private:
  cv::utils::logging::LogLevel level_;
};

Tensor tensor_of(const cv::Mat& map, const std::string& name) {
  check(map.type() == CV_32F && map.isContinuous(), "OpenCV's output {} is not float", name);
  Tensor tensor(Shape(map.size.p, map.size.p + map.dims));
  std::copy_n(map.ptr<float>(), tensor.size(), tensor.data());
  return tensor;
}

}  // namespace

std::vector<Tensor> run_onnx_in_opencv(const std::string& file, const Tensor& images,
                                       const std::vector<std::string>& outputs) {
  const Quiet quiet;
  try {
    cv::dnn::Net net = cv::dnn::readNetFromONNX(file.data(), file.size());
    net.setPreferableBackend(cv::dnn::DNN_BACKEND_OPENCV);
    net.setPreferableTarget(cv::dnn::DNN_TARGET_CPU);
    const std::vector<int> shape(images.shape().begin(), images.shape().end());
    net.setInput(cv::Mat(shape, CV_32F, const_cast<float*>(images.data())));
    std::vector<cv::Mat> maps;
    net.forward(maps, std::vector<cv::String>(outputs.begin(), outputs.end()));
    std::vector<Tensor> tensors;
    for (size_t i = 0; i < maps.size(); ++i) tensors.push_back(tensor_of(maps[i], outputs[i]));
    return tensors;
  } catch (const cv::Exception& error) {
    fail("OpenCV {} cannot run it: {}", CV_VERSION, error.err);
  }
}

std::string opencv_version() { return CV_VERSION; }

}  // namespace yolov3
