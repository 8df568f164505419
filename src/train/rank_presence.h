// Who of the ranks is here, who lives, and why one ended: keys in a store that rank 0 serves.
//
//   here/R    who rank R is: of how many it takes itself to be, its machine, its process
//   beat/R    its signs of life, and how many calls to the others it has made
//   meet/N/R  it has come to the N-th meeting
//   left/R    why it ended, with an error; over: some left/R is there
//   bye/R     it ended well
//
// A call to LibTorch's store waits for ever when the machine that serves it stands still, so none is made but within a
// time, in a thread of its own that is left behind where it does not come back.
// Threads: one at a time; inside, one that gives signs of life.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "train/options.h"
#include "train/rank_group.h"

namespace yolov3 {

class RankPresence {
 public:
  // Serves the store (rank 0) or reaches it, and waits until all have come. Errors: who has not within the time; two of
  // one number; another number of ranks; SIGINT or SIGTERM meanwhile.
  RankPresence(const RankPlace& place, double timeout_s);
  RankPresence(const RankPresence&) = delete;
  RankPresence& operator=(const RankPresence&) = delete;
  ~RankPresence();

  const RankStore& store() const { return store_; }
  double patience() const;  // seconds after which a wait is given up: the rest of the timeout is to find out who it was
  void count_call() { ++calls_; }
  bool someone_left() const { return someone_left_; }

  // Waits for all, however long they take, as long as they live. Errors: one does not.
  void meet(const std::string& what);

  // After an error of a call: whose fault it was. From then on this is lost, and nothing is taken apart any more.
  std::string who_is_lost(const std::string& reason);
  bool lost() const { return lost_; }

  void say_bye();                           // rank 0 waits for the others: the store goes with its process
  void tell_why(const std::string& error);  // never throws: an error is on its way already

 private:
  struct Beat {
    int64_t beats = -1, calls = 0;
  };
  void wait_for_name() const;
  RankStore open_store(bool server);
  void greet();
  void beat_until_stopped();
  double period() const;  // between two signs of life
  bool within(double seconds, std::function<void()> call, const std::string& heeding = "");
  std::string name(int rank) const;
  Beat beat_of(int rank) const;
  std::vector<std::string> reasons_of_left() const;
  std::string ask_store(const std::string& reason);
  void wait_until_told(std::chrono::steady_clock::time_point start) const;

  RankPlace place_;
  double timeout_s_;
  RankStore store_, beat_store_;
  std::vector<std::string> names_;  // of each rank: machine and process
  int64_t meetings_ = 0;
  std::atomic<int64_t> calls_ = 0;
  std::atomic<bool> someone_left_ = false;
  bool unanswered_ = false;  // a call has not come back
  bool lost_ = false;

  std::mutex mutex_;  // guards stopping_
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread beats_;
};

}  // namespace yolov3
