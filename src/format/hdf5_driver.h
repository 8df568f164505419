// HDF5's view of an open file: a "virtual file driver" that reads and writes one descriptor of ours.
//
// HDF5's own driver reopens the file by name (it could have been replaced since its checksum was verified), locks it
// (which fails on many network file systems), and cannot close a file on a full disk. This one sees only the first
// `size` bytes, so the trailer does not exist for HDF5, and keeps the first failed write in `error` instead of failing,
// so that HDF5 can always close; the owner asks for it.
// Threads: a target belongs to one thread at a time.
#pragma once

#include <hdf5.h>

#include <cstdint>

namespace yolov3::hdf5 {

struct DriverTarget {
  int descriptor = -1;
  uint64_t size = 0;  // bytes that exist; grows while writing
  int error = 0;      // errno of the first failed write
};

// Makes a file access property list use the driver on `target`, which must outlive the HDF5 file. Negative on failure.
herr_t use_driver(hid_t access, DriverTarget* target);

}  // namespace yolov3::hdf5
