// OpenMP's thread count is the calling thread's: ours for a while, then its own again.
#pragma once

#include <omp.h>

namespace yolov3 {

class OpenMpThreads {
 public:
  explicit OpenMpThreads(int threads) : before_(omp_get_max_threads()) { omp_set_num_threads(threads); }
  ~OpenMpThreads() { omp_set_num_threads(before_); }
  OpenMpThreads(const OpenMpThreads&) = delete;
  OpenMpThreads& operator=(const OpenMpThreads&) = delete;

 private:
  int before_;
};

// 0: as many as OpenMP would take, which OMP_NUM_THREADS may limit.
inline int threads_or_all(int threads) { return threads > 0 ? threads : omp_get_max_threads(); }

}  // namespace yolov3
