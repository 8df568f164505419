#include "detect/golden_test.h"

#include <gtest/gtest.h>
#include <hdf5.h>

#include <stdexcept>

namespace yolov3 {
namespace {

hid_t golden_file() {
  static const hid_t file = H5Fopen(YOLOV3_SOURCE_DIR "/golden/yolov3.h5", H5F_ACC_RDONLY, H5P_DEFAULT);
  if (file < 0) throw std::runtime_error("golden/yolov3.h5 cannot be opened");
  return file;
}

GoldenArray shaped(hid_t space) {
  GoldenArray array;
  std::vector<hsize_t> dims(static_cast<size_t>(H5Sget_simple_extent_ndims(space)));
  H5Sget_simple_extent_dims(space, dims.data(), nullptr);
  array.shape.assign(dims.begin(), dims.end());
  array.values.resize(static_cast<size_t>(H5Sget_simple_extent_npoints(space)));
  H5Sclose(space);
  return array;
}

}  // namespace

GoldenArray golden_array(const std::string& path) {
  const hid_t set = H5Dopen2(golden_file(), path.c_str(), H5P_DEFAULT);
  if (set < 0) throw std::runtime_error(path);
  GoldenArray array = shaped(H5Dget_space(set));
  if (!array.values.empty()) H5Dread(set, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, array.values.data());
  H5Dclose(set);
  return array;
}

GoldenArray golden_attribute(const std::string& object, const std::string& name) {
  const hid_t attribute = H5Aopen_by_name(golden_file(), object.c_str(), name.c_str(), H5P_DEFAULT, H5P_DEFAULT);
  if (attribute < 0) throw std::runtime_error(object + "@" + name);
  GoldenArray array = shaped(H5Aget_space(attribute));
  H5Aread(attribute, H5T_NATIVE_DOUBLE, array.values.data());
  H5Aclose(attribute);
  return array;
}

double golden_number(const std::string& object, const std::string& name) {
  return golden_attribute(object, name).values.at(0);
}

TEST(Golden, HasTheAnchorsOfYolov3) {
  EXPECT_EQ(golden_attribute("/", "anchors").shape, (std::vector<int64_t>{3, 3, 2}));
  EXPECT_EQ(golden_attribute("/", "strides").values, (std::vector<double>{8, 16, 32}));
}

}  // namespace yolov3
