// The reading half of format/keras_weights.h, up to named tensors.
#include <sys/stat.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "format/fenced_read.h"
#include "format/hdf5_file.h"
#include "format/keras_weights.h"
#include "format/sealed_file.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

constexpr size_t kMaxTensors = 100'000;               // arrays without numbers cost a file nothing
constexpr const char* kWholeModel = "model_weights";  // where `model.save` puts what `save_weights` has at the root

std::string below(const std::string& group, const std::string& name) {
  return group.empty() ? name : group + "/" + name;
}

// --- From the child process to this one: lengths as uint64, then the bytes -------------------------------------------

void put_size(const PutBytes& put, uint64_t size) { put(&size, sizeof size); }

void put_tensor(const PutBytes& put, const KerasTensor& tensor) {
  for (const std::string* text : {&tensor.layer, &tensor.name}) {
    put_size(put, text->size());
    put(text->data(), text->size());
  }
  put_size(put, tensor.shape.size());
  put(tensor.shape.data(), tensor.shape.size() * sizeof(int64_t));
  put_size(put, tensor.values.size());
  put(tensor.values.data(), tensor.values.size() * sizeof(float));
}

// The child may have been led astray by the file, so its lengths are checked too.
class Taker {
 public:
  Taker(std::string_view bytes, const fs::path& path) : rest_(bytes), path_(path) {}
  bool done() const { return rest_.empty(); }

  template <class T>
  std::vector<T> list() {
    uint64_t count = 0;
    take(&count, sizeof count);
    check(count <= rest_.size() / sizeof(T), "{}: what was read of it makes no sense", path_.string());
    std::vector<T> values(count);
    take(values.data(), count * sizeof(T));
    return values;
  }
  std::string text() {
    const std::vector<char> bytes = list<char>();
    return {bytes.begin(), bytes.end()};
  }

 private:
  void take(void* out, size_t size) {
    check(size <= rest_.size(), "{}: what was read of it makes no sense", path_.string());
    if (size > 0) std::memcpy(out, rest_.data(), size);
    rest_.remove_prefix(size);
  }
  std::string_view rest_;
  const fs::path& path_;
};

KerasTensor read_tensor(hdf5::File& file, const std::string& group, const std::string& layer, const std::string& name) {
  KerasTensor tensor{layer, name, {}, {}};
  const std::string full = below(group, layer) + "/" + name;
  tensor.shape = file.tensor_shape(full);
  tensor.values.resize(static_cast<size_t>(element_count(tensor.shape)));
  file.read_tensor(full, tensor.shape, tensor.values.data());
  return tensor;
}

// A list of names, which Keras cuts into NAME0, NAME1, ... where it would be too long for one attribute.
std::vector<std::string> read_names(hdf5::File& file, const std::string& object, const std::string& name) {
  const auto part = [&](size_t i) { return name + std::to_string(i); };
  if (!file.has_attribute(object, part(0))) return file.read_foreign_texts_attribute(object, name);
  std::vector<std::string> names;
  for (size_t i = 0; file.has_attribute(object, part(i)); ++i) {
    const std::vector<std::string> some = file.read_foreign_texts_attribute(object, part(i));
    names.insert(names.end(), some.begin(), some.end());
  }
  return names;
}

void check_is_keras(hdf5::File& file, const std::string& root, const fs::path& path) {
  if (file.has_attribute(root, "layer_names") || file.has_attribute(root, "layer_names0")) return;
  check(!file.exists("layers") && !file.exists("_layer_checkpoint_dependencies"),
        "{}: weights of Keras 3 (.weights.h5), which do not name their layers; save the model there with "
        "model.save(\"x.h5\") and give that file",
        path.string());
  fail("{}: an HDF5 file, but neither a model of this program nor Keras' weights: it has no attribute layer_names",
       path.string());
}

}  // namespace

std::vector<KerasTensor> read_keras_tensors(int descriptor, uint64_t size, const fs::path& path) {
  hdf5::File file = hdf5::File::open(descriptor, size, path);
  const std::string root = file.exists(kWholeModel) ? kWholeModel : "";
  check_is_keras(file, root, path);
  std::vector<KerasTensor> tensors;
  uint64_t bytes = 0;
  for (const std::string& layer : read_names(file, root, "layer_names")) {
    for (const std::string& name : read_names(file, below(root, layer), "weight_names")) {
      check(tensors.size() < kMaxTensors, "{}: more than {} arrays", path.string(), kMaxTensors);
      tensors.push_back(read_tensor(file, root, layer, name));
      bytes += tensors.back().values.size() * sizeof(float);
      check(bytes <= size, "{}: its layers claim more than the {} bytes of the file", path.string(), size);
    }
  }
  check(!tensors.empty(), "{}: Keras' weights without a single number", path.string());
  return tensors;
}

std::vector<KerasTensor> load_keras_tensors(const fs::path& path) {
  const OpenFile file = OpenFile::for_reading(path);
  struct stat status {};
  check(::fstat(file.descriptor(), &status) == 0 && S_ISREG(status.st_mode), "{}: expected a regular file",
        path.string());
  const std::string bytes = read_fenced(path, [&](const PutBytes& put) {
    for (const KerasTensor& tensor :
         read_keras_tensors(file.descriptor(), static_cast<uint64_t>(status.st_size), path)) {
      put_tensor(put, tensor);
    }
  });
  std::vector<KerasTensor> tensors;
  for (Taker taker(bytes, path); !taker.done();) {
    KerasTensor& tensor = tensors.emplace_back();
    tensor.layer = taker.text();
    tensor.name = taker.text();
    tensor.shape = taker.list<int64_t>();
    tensor.values = taker.list<float>();
    const bool shaped = std::ranges::all_of(tensor.shape, [](int64_t side) { return side >= 0 && side < (1 << 30); }) &&
                        element_count(tensor.shape) == static_cast<int64_t>(tensor.values.size());
    check(shaped, "{}: what was read of it makes no sense", path.string());
  }
  return tensors;
}

int64_t count_keras_numbers(const std::vector<KerasTensor>& tensors) {
  int64_t count = 0;
  for (const KerasTensor& tensor : tensors) count += static_cast<int64_t>(tensor.values.size());
  return count;
}

}  // namespace yolov3
