// What the ranks write into the store that rank 0 serves, and how it is read:
//
//   here/R    who rank R is: of how many it takes itself to be, its machine, its process
//   beat/R    its signs of life, and how many calls to the others it has made
//   meet/N/R  it has come to the N-th meeting
//   left/R    why it ended, with an error; over: some left/R is there
//   bye/R     it ended well
//
// Everything here asks LibTorch's store, which throws when rank 0's process is gone and waits for ever when its machine
// stands still: only for threads that may be left behind (train/rank_presence.h), which then keep it alive.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>
#include <vector>

#include "train/options.h"
#include "train/rank_group.h"

namespace yolov3 {

constexpr double kRankLingerSeconds = 10;  // rank 0 stays so long for the others, whose store goes with its process

struct RankRecord {
  RankPlace place;
  double timeout_s = 0;
  RankStore store, beat_store;     // two connections: signs of life do not wait for other calls
  std::vector<std::string> names;  // of each rank: machine and process
  std::atomic<int64_t> calls = 0;  // to the others
  std::atomic<bool> someone_left = false;

  std::mutex mutex;  // guards the two below
  std::condition_variable wake;
  bool stopping = false, stopped = true;  // the signs of life

  double period() const;                                         // between two signs of life, in seconds
  std::string name(int rank) const;                              // "rank 1 (node7 process 4711)"
  void open();                                                   // as server on rank 0; within timeout_s
  bool sign_in();                                                // false: another process is that rank already
  void read_who_is_here(std::vector<std::string>& found) const;  // what is still empty of it
  void beat_until_stopped();
  int64_t beats_of(int rank) const;  // -1: it has not begun
  void come_to(int64_t meeting);
  bool has_come(int rank, int64_t meeting) const;
  std::string who_is_lost(const std::string& reason) const;  // takes 3 periods; reason: where nobody is found
  void part();                                               // rank 0 waits for all
  void tell_why_left(const std::string& reason);             // so does it here; "!..." = this rank's own reason
};

std::string list_of(const std::vector<int>& ranks);  // "ranks 1, 3"

}  // namespace yolov3
