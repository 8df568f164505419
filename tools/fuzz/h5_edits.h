// An HDF5 file changed through HDF5 itself, as a fuzzer's bytes say: data sets and attributes replaced by others of any
// type, shape and layout, links that lead round or elsewhere, objects gone. Such a file is whole, so it comes past HDF5's
// own checks to ours, where changed bytes alone seldom get.
#pragma once

#include <fuzzer/FuzzedDataProvider.h>
#include <hdf5.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/files.h"

namespace yolov3 {

class H5Edits {
 public:
  // `base`: a file without a seal. Its objects and attributes are what edits are made of, beside made-up ones.
  H5Edits(std::filesystem::path work, std::string base) : work_(std::move(work)), base_(std::move(base)) {
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
    put(base_);
    const hid_t file = H5Fopen(work_.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
    objects_.emplace_back("/");
    H5Ovisit1(file, H5_INDEX_NAME, H5_ITER_NATIVE, visit, this);
    H5Fclose(file);
  }

  // Makes the changed file in place of the one before.
  const std::filesystem::path& apply(FuzzedDataProvider& bytes) {
    put(base_);
    const hid_t file = H5Fopen(work_.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
    for (int i = bytes.ConsumeIntegralInRange(1, 6); i > 0; --i) edit(file, bytes);
    H5Fclose(file);
    flip_bytes(bytes);
    return work_;
  }

 private:
  // Without the flush to the disk that write_file() does.
  void put(const std::string& bytes) const {
    std::ofstream(work_, std::ios::binary | std::ios::trunc)
        .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }

  static herr_t visit(hid_t id, const char* name, const H5O_info_t*, void* self) {
    auto& edits = *static_cast<H5Edits*>(self);
    if (std::string(name) != ".") edits.objects_.emplace_back(name);
    const hid_t object = H5Oopen(id, name, H5P_DEFAULT);
    H5Aiterate2(object, H5_INDEX_NAME, H5_ITER_NATIVE, nullptr, add_attribute, self);
    H5Oclose(object);
    return 0;
  }
  static herr_t add_attribute(hid_t, const char* name, const H5A_info_t*, void* self) {
    static_cast<H5Edits*>(self)->attributes_.emplace_back(name);
    return 0;
  }

  static const std::string& one_of(const std::vector<std::string>& names, FuzzedDataProvider& bytes) {
    return names[bytes.ConsumeIntegralInRange<size_t>(0, names.size() - 1)];
  }
  std::string object(FuzzedDataProvider& bytes) {
    return bytes.ConsumeIntegralInRange(0, 15) == 0 ? bytes.ConsumeRandomLengthString(40) : one_of(objects_, bytes);
  }
  std::string attribute(FuzzedDataProvider& bytes) {
    return bytes.ConsumeIntegralInRange(0, 7) == 0 ? bytes.ConsumeRandomLengthString(40) : one_of(attributes_, bytes);
  }

  // The caller closes it.
  hid_t type(FuzzedDataProvider& bytes) {
    switch (bytes.ConsumeIntegralInRange(0, 9)) {
      case 0: return H5Tcopy(H5T_IEEE_F64LE);
      case 1: return H5Tcopy(H5T_IEEE_F32BE);
      case 2: return H5Tcopy(H5T_STD_I64LE);
      case 3: return H5Tcopy(H5T_STD_U8BE);
      case 4: return text_type(H5T_VARIABLE);
      case 5: return text_type(bytes.ConsumeIntegralInRange<size_t>(1, 64));
      case 6: return H5Tvlen_create(H5T_STD_I32LE);
      case 7: {
        const hid_t compound = H5Tcreate(H5T_COMPOUND, 16);
        H5Tinsert(compound, "a", 0, H5T_IEEE_F32LE);
        return compound;
      }
      default: return H5Tcopy(H5T_IEEE_F32LE);
    }
  }
  static hid_t text_type(size_t size) {
    const hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, size);
    return type;
  }
  hid_t space(FuzzedDataProvider& bytes, hsize_t most) {
    const int rank = bytes.ConsumeIntegralInRange(-1, 9);
    if (rank < 0) return H5Screate(H5S_NULL);
    if (rank == 0) return H5Screate(H5S_SCALAR);
    std::vector<hsize_t> extents;
    for (int i = 0; i < rank; ++i) extents.push_back(bytes.ConsumeIntegralInRange<hsize_t>(0, i == 0 ? most : 4));
    return H5Screate_simple(rank, extents.data(), nullptr);
  }

  void set_attribute(hid_t file, FuzzedDataProvider& bytes) {
    const std::string at = object(bytes), name = attribute(bytes);
    const hid_t held = H5Oopen(file, at.c_str(), H5P_DEFAULT);
    if (held < 0) return;
    H5Adelete(held, name.c_str());
    const hid_t kind = type(bytes), shape = space(bytes, 12);
    const hid_t made = H5Acreate2(held, name.c_str(), kind, shape, H5P_DEFAULT, H5P_DEFAULT);
    const hssize_t count = H5Sget_simple_extent_npoints(shape);
    if (made >= 0 && count > 0 && count < 4096) write_values(made, kind, static_cast<size_t>(count), bytes);
    if (made >= 0) H5Aclose(made);
    if (kind >= 0) H5Tclose(kind);
    if (shape >= 0) H5Sclose(shape);
    H5Oclose(held);
  }
  void write_values(hid_t made, hid_t kind, size_t count, FuzzedDataProvider& bytes) {
    if (H5Tget_class(kind) == H5T_VLEN) return;
    if (H5Tis_variable_str(kind) > 0) {
      std::vector<std::string> texts;
      std::vector<const char*> pointers;
      for (size_t i = 0; i < count; ++i) texts.push_back(bytes.ConsumeRandomLengthString(60));
      for (const std::string& text : texts) pointers.push_back(text.c_str());
      H5Awrite(made, kind, pointers.data());
      return;
    }
    std::vector<uint8_t> values = bytes.ConsumeBytes<uint8_t>(count * H5Tget_size(kind));
    values.resize(count * H5Tget_size(kind));
    H5Awrite(made, kind, values.data());
  }

  // The network's description is a text that must come to our parser.
  void set_cfg(hid_t file, FuzzedDataProvider& bytes) {
    const std::string text = bytes.ConsumeRandomLengthString(600) + "\n";
    const hid_t kind = text_type(text.size()), shape = H5Screate(H5S_SCALAR);
    H5Adelete(file, "yolov3_cfg");
    const hid_t made = H5Acreate2(file, "yolov3_cfg", kind, shape, H5P_DEFAULT, H5P_DEFAULT);
    if (made >= 0) {
      H5Awrite(made, kind, text.data());
      H5Aclose(made);
    }
    H5Sclose(shape);
    H5Tclose(kind);
  }

  void replace_dataset(hid_t file, FuzzedDataProvider& bytes) {
    const std::string name = object(bytes);
    H5Ldelete(file, name.c_str(), H5P_DEFAULT);
    const bool huge = bytes.ConsumeBool();
    const hid_t kind = type(bytes), shape = space(bytes, huge ? hsize_t{1} << 40 : 16);
    const hid_t creation = H5Pcreate(H5P_DATASET_CREATE), links = H5Pcreate(H5P_LINK_CREATE);
    H5Pset_create_intermediate_group(links, 1);
    if (!huge && bytes.ConsumeBool()) H5Pset_alloc_time(creation, H5D_ALLOC_TIME_EARLY);
    const hsize_t chunk[] = {2, 2, 2, 2, 2, 2, 2, 2, 2};
    switch (bytes.ConsumeIntegralInRange(0, 6)) {
      case 0: H5Pset_layout(creation, H5D_COMPACT); break;
      case 1: H5Pset_chunk(creation, std::max(1, H5Sget_simple_extent_ndims(shape)), chunk); break;
      case 2: H5Pset_external(creation, "/dev/zero", 0, H5F_UNLIMITED); break;
      default: break;
    }
    const hid_t data = H5Dcreate2(file, name.c_str(), kind, shape, links, creation, H5P_DEFAULT);
    if (data >= 0) H5Dclose(data);
    H5Pclose(links);
    H5Pclose(creation);
    H5Sclose(shape);
    H5Tclose(kind);
  }

  void edit(hid_t file, FuzzedDataProvider& bytes) {
    switch (bytes.ConsumeIntegralInRange(0, 11)) {
      case 0: H5Ldelete(file, object(bytes).c_str(), H5P_DEFAULT); break;
      case 1: H5Adelete_by_name(file, object(bytes).c_str(), attribute(bytes).c_str(), H5P_DEFAULT); break;
      case 2:
        replace_link(file, bytes, [&](const std::string& to, const std::string& at) {
          H5Lcreate_hard(file, to.c_str(), file, at.c_str(), H5P_DEFAULT, H5P_DEFAULT);
        });
        break;
      case 3:
        replace_link(file, bytes, [&](const std::string& to, const std::string& at) {
          H5Lcreate_soft(("/" + to).c_str(), file, at.c_str(), H5P_DEFAULT, H5P_DEFAULT);
        });
        break;
      case 4:
        replace_link(file, bytes, [&](const std::string& to, const std::string& at) {
          H5Lcreate_external("/dev/zero", to.c_str(), file, at.c_str(), H5P_DEFAULT, H5P_DEFAULT);
        });
        break;
      case 5: H5Lmove(file, object(bytes).c_str(), file, object(bytes).c_str(), H5P_DEFAULT, H5P_DEFAULT); break;
      case 6: set_cfg(file, bytes); break;
      case 7:
      case 8: replace_dataset(file, bytes); break;
      default: set_attribute(file, bytes); break;
    }
  }
  template <class Make>
  void replace_link(hid_t file, FuzzedDataProvider& bytes, Make make) {
    const std::string to = object(bytes), at = object(bytes);
    if (bytes.ConsumeBool()) H5Ldelete(file, at.c_str(), H5P_DEFAULT);
    make(to, bytes.ConsumeBool() ? at : at + "/x");
  }

  // Now and then damage on top.
  void flip_bytes(FuzzedDataProvider& bytes) {
    const int count = std::max(0, bytes.ConsumeIntegralInRange(-12, 4));
    if (count == 0) return;
    std::string file = read_file(work_);
    for (int i = 0; i < count && !file.empty(); ++i) {
      file[bytes.ConsumeIntegralInRange<size_t>(0, file.size() - 1)] = bytes.ConsumeIntegral<char>();
    }
    put(file);
  }

  const std::filesystem::path work_;
  const std::string base_;
  std::vector<std::string> objects_, attributes_;
};

}  // namespace yolov3
