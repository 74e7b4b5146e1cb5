package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime returns the CPU time that a process and its children have taken, in user mode and in the kernel. Children that have ended do not
// count.
func cpuTime(pid int) (total time.Duration, err error) {
	pids, err := family(pid)
	if err != nil {
		return 0, err
	}
	for _, pid := range pids {
		var ts unix.Timespec
		if err := unix.ClockGettime(cpuClock(pid), &ts); err != nil {
			return 0, fmt.Errorf("read CPU time: %w", err)
		}
		total += time.Duration(ts.Nano())
	}
	return total, nil
}

// ownTime returns the CPU time that this process has taken, without its children.
func ownTime() (time.Duration, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &ts); err != nil {
		return 0, fmt.Errorf("read CPU time: %w", err)
	}
	return time.Duration(ts.Nano()), nil
}

// cpuClock returns the clock of the CPU time of all threads of a process, as clock_getcpuclockid(3) does.
func cpuClock(pid int) int32 { return int32(^pid<<3 | 2) }

// family returns a process and its children.
func family(pid int) ([]int, error) {
	list, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil, fmt.Errorf("list child processes: %w", err)
	}
	pids := []int{pid}
	for field := range strings.FieldsSeq(string(list)) {
		child, err := strconv.Atoi(field)
		if err != nil {
			return nil, fmt.Errorf("list child processes: %w", err)
		}
		pids = append(pids, child)
	}
	return pids, nil
}

// processors are where the servers run, and where the load comes from and the application is.
type processors struct{ server, load int }

func (p processors) count() int {
	if p.server == p.load {
		return 1
	}
	return 2
}

// someProcessors returns the first two processors that this process may run on. Where there is one, both are it.
func someProcessors() (processors, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return processors{}, fmt.Errorf("look at processors: %w", err)
	}
	var found []int
	for cpu := 0; len(found) < min(2, set.Count()); cpu++ {
		if set.IsSet(cpu) {
			found = append(found, cpu)
		}
	}
	return processors{server: found[0], load: found[len(found)-1]}, nil
}

// pin binds all threads of a process and its children, and so the threads that they will start, to a processor.
func pin(pid, cpu int) error {
	for range 2 { // a thread that was started meanwhile may have inherited the old set
		pids, err := family(pid)
		if err != nil {
			return err
		}
		for _, pid := range pids {
			if err := pinThreads(pid, cpu); err != nil {
				return err
			}
		}
	}
	return nil
}

func pinThreads(pid int, cpu int) error {
	var one unix.CPUSet
	one.Set(cpu)
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return fmt.Errorf("list threads: %w", err)
	}
	for _, task := range tasks {
		tid, err := strconv.Atoi(task.Name())
		if err != nil {
			return fmt.Errorf("list threads: %w", err)
		}
		if err := unix.SchedSetaffinity(tid, &one); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("bind to processor %d: %w", cpu, err)
		}
	}
	return nil
}

// resident returns the memory of a process and its children that is in RAM, in bytes. What they share counts for each.
func resident(pid int) (total int64, err error) {
	pids, err := family(pid)
	if err != nil {
		return 0, err
	}
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
		if err != nil {
			return 0, fmt.Errorf("read memory: %w", err)
		}
		var size, pages int64
		if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
			return 0, fmt.Errorf("read memory: %w", err)
		}
		total += pages * int64(os.Getpagesize())
	}
	return total, nil
}

// mostFiles returns how many files a process may have open, once it has raised its limit as far as it may.
func mostFiles() (int, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("look at the limit of open files: %w", err)
	}
	return int(min(limit.Max, 1<<20)), nil
}
