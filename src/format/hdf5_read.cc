// The reading half of hdf5::File: everything is checked before it is believed.
#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/text.h"
#include "format/hdf5_file.h"

namespace yolov3::hdf5 {
namespace {

constexpr int kMaxRank = 8;
constexpr size_t kMaxDepth = 32;  // of groups: hard links can form circles
constexpr size_t kMaxLinks = 1 << 20;

// A fixed-width, zero-padded text.
std::string text_of(const char* bytes, size_t width) {
  while (width > 0 && bytes[width - 1] == '\0') --width;
  return {bytes, width};
}

// Callbacks of a C library: nothing may be thrown through it.
template <class Info>
herr_t collect_name(hid_t, const char* name, const Info*, void* names) {
  try {
    auto& list = *static_cast<std::vector<std::string>*>(names);
    if (list.size() >= kMaxLinks) return -1;
    list.emplace_back(name);
    return 0;
  } catch (...) {
    return -1;
  }
}

}  // namespace

bool File::exists(const std::string& name) {
  for (size_t end = name.find('/');; end = name.find('/', end + 1)) {
    const std::string prefix = name.substr(0, end);
    H5L_info_t link;
    if (H5Lexists(file_.id(), prefix.c_str(), H5P_DEFAULT) <= 0) return false;
    if (H5Lget_info(file_.id(), prefix.c_str(), &link, H5P_DEFAULT) < 0) return false;
    // Soft and external links could lead out of the file; we never write any.
    if (link.type != H5L_TYPE_HARD) refuse(prefix, "is a link to elsewhere; expected the object itself");
    if (end == std::string::npos) return true;
  }
}

Handle File::open_object(const std::string& name) {
  if (!name.empty() && !exists(name)) refuse(name, "expected in the file, found nothing");
  return own(H5Oopen(file_.id(), name.empty() ? "/" : name.c_str(), H5P_DEFAULT), H5Oclose, name, "open");
}

// That a data set's values are in this file, as they are: no filters, no chunks, no other files.
void File::check_stored(const Handle& data, const std::string& name, uint64_t bytes) {
  const Handle creation = own(H5Dget_create_plist(data.id()), H5Pclose, name, "read the layout of");
  if (H5Pget_layout(creation.id()) != H5D_CONTIGUOUS || H5Pget_external_count(creation.id()) != 0 ||
      H5Pget_nfilters(creation.id()) != 0) {
    refuse(name, "expected plain contiguous data inside the file");
  }
  const haddr_t offset = H5Dget_offset(data.id());
  if (bytes > 0 && (H5Dget_storage_size(data.id()) != bytes || offset == HADDR_UNDEF || offset > target_.size ||
                    bytes > target_.size - offset)) {
    refuse(name, fmt::format("its {} bytes are not in the file", bytes));
  }
}

Handle File::open_tensor(const std::string& name, Shape& shape) {
  Handle data = open_object(name);
  if (H5Iget_type(data.id()) != H5I_DATASET) refuse(name, "expected a data set, found a group or type");
  const Handle space = own(H5Dget_space(data.id()), H5Sclose, name, "read the shape of");
  const Handle type = own(H5Dget_type(data.id()), H5Tclose, name, "read the type of");
  const int rank = H5Sget_simple_extent_ndims(space.id());
  if (H5Sget_simple_extent_type(space.id()) == H5S_NULL || rank < 0 || rank > kMaxRank) {
    refuse(name, fmt::format("expected at most {} dimensions, found {}", kMaxRank, rank));
  }
  hsize_t extents[kMaxRank] = {};
  if (rank > 0 && H5Sget_simple_extent_dims(space.id(), extents, nullptr) < 0) refuse(name, "has no readable shape");
  shape.assign(extents, extents + rank);

  const size_t width = H5Tget_size(type.id());
  uint64_t bytes = width;
  for (int i = 0; i < rank; ++i) {
    if (__builtin_mul_overflow(bytes, extents[i], &bytes)) bytes = UINT64_MAX;
    if (extents[i] == 0) bytes = 0;
    if (bytes == 0) break;
  }
  if (bytes > target_.size) {
    refuse(name, fmt::format("claims to have the shape {}, more than the whole file of {} bytes can hold",
                             to_string(shape), target_.size));
  }
  check_stored(data, name, bytes);
  return data;
}

namespace {

bool is_float32(hid_t dataset) {
  const Handle type(H5Dget_type(dataset), H5Tclose);
  return type && H5Tequal(type.id(), H5T_IEEE_F32LE) > 0;
}

}  // namespace

Shape File::tensor_shape(const std::string& name) {
  Shape shape;
  const Handle data = open_tensor(name, shape);
  if (!is_float32(data.id())) refuse(name, "expected little-endian float32 values");
  return shape;
}

void File::read_tensor(const std::string& name, const Shape& shape, float* values) {
  Shape found;
  const Handle data = open_tensor(name, found);
  if (!is_float32(data.id())) refuse(name, "expected little-endian float32 values");
  if (found != shape) refuse(name, fmt::format("expected the shape {}, found {}", to_string(shape), to_string(found)));
  if (element_count(shape) == 0) return;
  if (H5Dread(data.id(), H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0) {
    refuse(name, "HDF5 cannot read it");
  }
}

std::string File::read_text(const std::string& name) {
  Shape shape;
  const Handle data = open_tensor(name, shape);
  const Handle type = own(H5Dget_type(data.id()), H5Tclose, name, "read the type of");
  if (H5Tget_class(type.id()) != H5T_STRING || H5Tis_variable_str(type.id()) != 0 || !shape.empty()) {
    refuse(name, "expected one text of fixed length");
  }
  std::string bytes(H5Tget_size(type.id()), '\0');
  if (H5Dread(data.id(), type.id(), H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes.data()) < 0) {
    refuse(name, "HDF5 cannot read it");
  }
  return text_of(bytes.data(), bytes.size());
}

std::vector<std::string> File::datasets_below(const std::string& group) {
  std::vector<std::string> found, waiting{""};
  size_t links = 0;
  while (!waiting.empty()) {
    const std::string folder = waiting.back();
    waiting.pop_back();
    const std::string full = folder.empty() ? group : group + "/" + folder;
    const Handle object = open_object(full);
    if (H5Iget_type(object.id()) == H5I_DATASET) {
      found.push_back(folder);
      continue;
    }
    if (H5Iget_type(object.id()) != H5I_GROUP) refuse(full, "expected a group or a data set");
    if (split(folder, '/').size() > kMaxDepth) refuse(full, fmt::format("groups nest more than {} deep", kMaxDepth));
    std::vector<std::string> names;
    if (H5Literate(object.id(), H5_INDEX_NAME, H5_ITER_INC, nullptr, collect_name<H5L_info_t>, &names) < 0) {
      refuse(full, "HDF5 cannot list it");
    }
    links += names.size();
    if (links > kMaxLinks) refuse(full, fmt::format("holds more than {} objects", kMaxLinks));
    for (const std::string& name : names) waiting.push_back(folder.empty() ? name : folder + "/" + name);
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<std::string> File::attribute_names(const std::string& object) {
  std::vector<std::string> names;
  const Handle holder = open_object(object);
  if (H5Aiterate2(holder.id(), H5_INDEX_NAME, H5_ITER_INC, nullptr, collect_name<H5A_info_t>, &names) < 0) {
    refuse(object, "HDF5 cannot list its attributes");
  }
  return names;
}

bool File::has_attribute(const std::string& object, const std::string& name) {
  const Handle holder = open_object(object);
  return H5Aexists(holder.id(), name.c_str()) > 0;
}

Handle File::open_any_attribute(const std::string& object, const std::string& name, Handle& type, uint64_t& count) {
  const std::string label = object + "@" + name;
  const Handle holder = open_object(object);
  if (H5Aexists(holder.id(), name.c_str()) <= 0) refuse(label, "expected this attribute, found none");
  Handle attribute = own(H5Aopen(holder.id(), name.c_str(), H5P_DEFAULT), H5Aclose, label, "open");
  const Handle space = own(H5Aget_space(attribute.id()), H5Sclose, label, "read the shape of");
  type = own(H5Aget_type(attribute.id()), H5Tclose, label, "read the type of");
  const hssize_t points = H5Sget_simple_extent_npoints(space.id());
  const uint64_t width = std::max<uint64_t>(H5Tget_size(type.id()), 8);  // integers and floats widen to 8 bytes at most
  if (points < 0 || static_cast<uint64_t>(points) > std::max<uint64_t>(target_.size, 8) / width) {
    refuse(label, fmt::format("claims {} elements of {} bytes, more than the file of {} bytes can hold", points, width,
                              target_.size));
  }
  count = static_cast<uint64_t>(points);
  return attribute;
}

Handle File::open_attribute(const std::string& object, const std::string& name, H5T_class_t wanted, Handle& type,
                            uint64_t& count) {
  Handle attribute = open_any_attribute(object, name, type, count);
  if (H5Tget_class(type.id()) != wanted || (wanted == H5T_STRING && H5Tis_variable_str(type.id()) != 0)) {
    refuse(object + "@" + name, wanted == H5T_STRING
                                    ? "expected texts of fixed length"
                                    : (wanted == H5T_FLOAT ? "expected float values" : "expected integers"));
  }
  return attribute;
}

std::vector<std::string> File::read_fixed_texts(const Handle& attribute, const Handle& type, uint64_t count,
                                                const std::string& label) {
  const size_t width = H5Tget_size(type.id());
  std::string bytes(width * count, '\0');
  if (count > 0 && H5Aread(attribute.id(), type.id(), bytes.data()) < 0) refuse(label, "HDF5 cannot read it");
  std::vector<std::string> texts(count);
  for (size_t i = 0; i < count; ++i) texts[i] = text_of(bytes.data() + i * width, width);
  return texts;
}

// HDF5 allocates each text; a missing one is a null pointer.
std::vector<std::string> File::read_long_texts(const Handle& attribute, const Handle& type, uint64_t count,
                                               const std::string& label) {
  const Handle space = own(H5Aget_space(attribute.id()), H5Sclose, label, "read the shape of");
  std::vector<char*> found(count, nullptr);
  if (H5Aread(attribute.id(), type.id(), found.data()) < 0) refuse(label, "HDF5 cannot read it");
  std::vector<std::string> texts(count);
  for (size_t i = 0; i < count; ++i) texts[i] = found[i] == nullptr ? "" : found[i];
  H5Dvlen_reclaim(type.id(), space.id(), H5P_DEFAULT, found.data());
  return texts;
}

std::vector<std::string> File::read_texts_attribute(const std::string& object, const std::string& name) {
  Handle type;
  uint64_t count = 0;
  const Handle attribute = open_attribute(object, name, H5T_STRING, type, count);
  return read_fixed_texts(attribute, type, count, object + "@" + name);
}

std::vector<std::string> File::read_foreign_texts_attribute(const std::string& object, const std::string& name) {
  Handle type;
  uint64_t count = 0;
  const Handle attribute = open_any_attribute(object, name, type, count);
  if (count == 0) return {};
  const std::string label = object + "@" + name;
  if (H5Tget_class(type.id()) != H5T_STRING) refuse(label, "expected texts");
  const bool fixed = H5Tis_variable_str(type.id()) == 0;
  return fixed ? read_fixed_texts(attribute, type, count, label) : read_long_texts(attribute, type, count, label);
}

std::string File::read_text_attribute(const std::string& object, const std::string& name) {
  std::vector<std::string> texts = read_texts_attribute(object, name);
  if (texts.size() != 1) refuse(object + "@" + name, fmt::format("expected one text, found {}", texts.size()));
  return std::move(texts[0]);
}

std::vector<int64_t> File::read_integers_attribute(const std::string& object, const std::string& name) {
  Handle type;
  uint64_t count = 0;
  const Handle attribute = open_attribute(object, name, H5T_INTEGER, type, count);
  std::vector<int64_t> values(count);
  if (count > 0 && H5Aread(attribute.id(), H5T_NATIVE_INT64, values.data()) < 0) {
    refuse(object + "@" + name, "HDF5 cannot read it");
  }
  return values;
}

std::vector<float> File::read_floats_attribute(const std::string& object, const std::string& name) {
  Handle type;
  uint64_t count = 0;
  const Handle attribute = open_attribute(object, name, H5T_FLOAT, type, count);
  std::vector<float> values(count);
  if (count > 0 && H5Aread(attribute.id(), H5T_NATIVE_FLOAT, values.data()) < 0) {
    refuse(object + "@" + name, "HDF5 cannot read it");
  }
  return values;
}

}  // namespace yolov3::hdf5
