package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// tick is the unit in which the kernel tells CPU times (USER_HZ, proc(5)).
const tick = 10 * time.Millisecond

// cpuTime returns the CPU time that a process has taken, in user mode and in the kernel.
func cpuTime(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("read CPU time: %w", err)
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:]) // the name may hold blanks
	var ticks int64
	for _, i := range [...]int{11, 12} { // utime and stime
		n, err := strconv.ParseInt(string(fields[i]), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read CPU time: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * tick, nil
}

// pin binds all threads of a process, and so the threads that they will start, to a processor. On a machine that lacks it nothing is
// bound.
func pin(pid, cpu int) error {
	var all, one unix.CPUSet
	if err := unix.SchedGetaffinity(pid, &all); err != nil {
		return fmt.Errorf("look at processors: %w", err)
	}
	if !all.IsSet(cpu) {
		return nil
	}
	one.Set(cpu)
	for range 2 { // a thread that was started meanwhile may have inherited the old set
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
	}
	return nil
}
