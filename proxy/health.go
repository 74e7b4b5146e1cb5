package proxy

import (
	"errors"
	"sync"
	"time"
)

// errDown says that the application could not be reached a moment ago.
var errDown = errors.New("application could not be reached a moment ago")

const (
	failuresUntilDown = 3
	shortestPause     = 125 * time.Millisecond
	longestPause      = time.Second
)

// A health is what was learnt of an application by connecting to it. When that fails again and again, nobody tries for a while, so that not
// every request waits for a connection that does not come. After that one tries, and the others go on failing until it has connected. The
// zero health knows of nothing bad.
type health struct {
	mu       sync.Mutex
	failures int       // in a row
	retryAt  time.Time // when it may be tried again, if it is down
	probing  bool      // somebody tries
}

// An attempt is one try to connect. Its value says whether it is the only one that is made of an application that is down.
type attempt bool

// begin reports whether it may be tried to connect. Who may must call end.
func (h *health) begin() (attempt, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failures < failuresUntilDown {
		return false, true
	}
	if h.probing || time.Now().Before(h.retryAt) {
		return false, false
	}
	h.probing = true
	return true, true
}

// A change is what an attempt to connect changed.
type change uint8

const (
	nothingNew change = iota
	wentDown
	cameUp
)

// end says what became of an attempt. One that was given up by those who made it counts for nothing.
func (h *health) end(probe attempt, failed, gaveUp bool) change {
	h.mu.Lock()
	defer h.mu.Unlock()
	if probe {
		h.probing = false
	}
	wasDown := h.failures >= failuresUntilDown
	switch {
	case !failed:
		h.failures = 0
		if wasDown {
			return cameUp
		}
	case gaveUp || wasDown && !bool(probe): // the latter began before it was known to be down, and tells nothing new
	default:
		h.failures++
		if h.failures >= failuresUntilDown {
			h.retryAt = time.Now().Add(pause(h.failures - failuresUntilDown))
			if !wasDown {
				return wentDown
			}
		}
	}
	return nothingNew
}

// down reports whether requests fail without a try, or all but one.
func (h *health) down() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.failures >= failuresUntilDown
}

// pause returns how long nobody tries, after so many tries in vain since the application was taken to be down. It grows.
func pause(tries int) time.Duration {
	return min(shortestPause<<min(tries, 8), longestPause)
}
