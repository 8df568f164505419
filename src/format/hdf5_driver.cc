#include "format/hdf5_driver.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <new>

namespace yolov3::hdf5 {
namespace {

constexpr haddr_t kMaxAddress = static_cast<haddr_t>(std::numeric_limits<off_t>::max());
constexpr size_t kMaxTransfer = size_t{1} << 30;

struct DriverFile {
  H5FD_t base;  // first: HDF5 casts between the two
  DriverTarget* target;
  haddr_t allocated;
};

DriverFile& file_of(H5FD_t* file) { return *reinterpret_cast<DriverFile*>(file); }
const DriverFile& file_of(const H5FD_t* file) { return *reinterpret_cast<const DriverFile*>(file); }

H5FD_t* open_file(const char*, unsigned, hid_t access, haddr_t) {
  const auto* info = static_cast<DriverTarget* const*>(H5Pget_driver_info(access));
  if (info == nullptr) return nullptr;
  auto* file = new (std::nothrow) DriverFile{};
  if (file == nullptr) return nullptr;
  file->target = *info;
  return &file->base;
}

herr_t close_file(H5FD_t* file) {
  delete &file_of(file);
  return 0;
}

herr_t query_features(const H5FD_t*, unsigned long* flags) {
  *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE |
           H5FD_FEAT_AGGREGATE_SMALLDATA;
  return 0;
}

haddr_t allocated_end(const H5FD_t* file, H5FD_mem_t) { return file_of(file).allocated; }

herr_t set_allocated_end(H5FD_t* file, H5FD_mem_t, haddr_t address) {
  file_of(file).allocated = address;
  return 0;
}

haddr_t file_end(const H5FD_t* file, H5FD_mem_t) { return file_of(file).target->size; }

bool in_range(haddr_t address, size_t size) { return address <= kMaxAddress && size <= kMaxAddress - address; }

// What lies behind the end reads as zeros, as in HDF5's own drivers.
herr_t read_bytes(H5FD_t* file, H5FD_mem_t, hid_t, haddr_t address, size_t size, void* buffer) {
  const DriverTarget& target = *file_of(file).target;
  if (!in_range(address, size)) return -1;
  auto* out = static_cast<char*>(buffer);
  const uint64_t behind = target.size > address ? target.size - address : 0;
  size_t left = static_cast<size_t>(std::min<uint64_t>(size, behind));
  std::memset(out + left, 0, size - left);
  while (left > 0) {
    const ssize_t got = ::pread(target.descriptor, out, std::min(left, kMaxTransfer), static_cast<off_t>(address));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return -1;
    out += got;
    address += static_cast<haddr_t>(got);
    left -= static_cast<size_t>(got);
  }
  return 0;
}

herr_t write_bytes(H5FD_t* file, H5FD_mem_t, hid_t, haddr_t address, size_t size, const void* buffer) {
  DriverTarget& target = *file_of(file).target;
  if (!in_range(address, size)) return -1;
  target.size = std::max<uint64_t>(target.size, address + size);
  const auto* in = static_cast<const char*>(buffer);
  while (size > 0 && target.error == 0) {
    const ssize_t put = ::pwrite(target.descriptor, in, std::min(size, kMaxTransfer), static_cast<off_t>(address));
    if (put < 0) {
      if (errno != EINTR) target.error = errno;
      continue;
    }
    in += put;
    address += static_cast<haddr_t>(put);
    size -= static_cast<size_t>(put);
  }
  return 0;
}

const H5FD_class_t kDriver = {
    .name = "yolov3_descriptor",
    .maxaddr = kMaxAddress,
    .fc_degree = H5F_CLOSE_STRONG,
    .terminate = nullptr,
    .sb_size = nullptr,
    .sb_encode = nullptr,
    .sb_decode = nullptr,
    .fapl_size = sizeof(DriverTarget*),
    .fapl_get = nullptr,
    .fapl_copy = nullptr,
    .fapl_free = nullptr,
    .dxpl_size = 0,
    .dxpl_copy = nullptr,
    .dxpl_free = nullptr,
    .open = open_file,
    .close = close_file,
    .cmp = nullptr,
    .query = query_features,
    .get_type_map = nullptr,
    .alloc = nullptr,
    .free = nullptr,
    .get_eoa = allocated_end,
    .set_eoa = set_allocated_end,
    .get_eof = file_end,
    .get_handle = nullptr,
    .read = read_bytes,
    .write = write_bytes,
    .flush = nullptr,
    .truncate = nullptr,
    .lock = nullptr,
    .unlock = nullptr,
    .fl_map = H5FD_FLMAP_DICHOTOMY,
};

}  // namespace

herr_t use_driver(hid_t access, DriverTarget* target) {
  static const hid_t driver = H5FDregister(&kDriver);
  if (driver < 0) return -1;
  return H5Pset_driver(access, driver, &target);
}

}  // namespace yolov3::hdf5
