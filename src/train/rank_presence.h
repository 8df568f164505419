// The ranks as one of them sees the others: who is here, who lives, and why one ended (train/rank_record.h).
//
// No call to the others' store waits for ever: each is made in a thread of its own, which is left behind where it does not
// come back in time, with its share of what it uses.
// Threads: one at a time; inside, one that gives signs of life.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "train/rank_record.h"

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
  void count_call() { ++record_->calls; }
  bool someone_left() const { return record_->someone_left; }

  // Waits for all, however long they take, as long as they live. Errors: one does not.
  void meet(const std::string& what);

  // After an error of a call: whose fault it was. From then on this is lost.
  std::string who_is_lost(const std::string& reason);
  bool lost() const { return lost_; }

  void say_bye();                           // rank 0 waits for the others
  void tell_why(const std::string& error);  // never throws: an error is on its way already
  void stop();                              // no sign of life any more

 private:
  void open();
  void greet();
  bool within(double seconds, std::function<void()> call, const std::string& heeding = "");

  std::shared_ptr<RankRecord> record_;
  int64_t meetings_ = 0;
  bool unanswered_ = false;  // a call has not come back
  bool lost_ = false;
};

}  // namespace yolov3
