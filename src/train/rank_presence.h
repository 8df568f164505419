// Who of the ranks is here, who lives, and why one ended: keys in a store that rank 0 serves.
//
//   here/R    who rank R is: of how many it takes itself to be, its machine, its process
//   beat/R    its signs of life, and how many calls to the others it has made
//   meet/N/R  it has come to the N-th meeting
//   left/R    why it ended, with an error; over: some left/R is there
//   bye/R     it ended well
//
// A call to LibTorch's store waits for ever when the machine that serves it stands still. So each is made within a time, in
// a thread of its own; one that does not come back is left behind, with its share of what it uses.
// Threads: one at a time; inside, one that gives signs of life.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
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

  // A group of connections to the others that `make` makes, named in the store. Errors: as above, which all ranks learn.
  RankGroup connect(const char* name, std::function<RankGroup(const RankStore& store)> make);

  double patience() const;  // seconds after which a wait is given up: the rest of the timeout is to find out who it was
  void count_call();
  bool someone_left() const;

  // Waits for all, however long they take, as long as they live. Errors: one does not.
  void meet(const std::string& what);

  // After an error of a call: whose fault it was. From then on this is lost.
  std::string who_is_lost(const std::string& reason);
  bool lost() const { return lost_; }

  void say_bye();                           // rank 0 waits for the others: the store goes with its process
  void tell_why(const std::string& error);  // never throws: an error is on its way already
  void stop();                              // no sign of life any more

 private:
  struct Shared;  // with threads left behind
  void open_store();
  void greet();
  bool within(double seconds, std::function<void()> call, const std::string& heeding = "");

  std::shared_ptr<Shared> shared_;
  int64_t meetings_ = 0;
  bool unanswered_ = false;  // a call has not come back
  bool lost_ = false;
};

}  // namespace yolov3
