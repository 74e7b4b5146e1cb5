package listen

import (
	"sync"
	"time"
)

// seldom lets one message a minute through.
type seldom struct {
	mu     sync.Mutex
	next   time.Time
	missed int
}

// allow reports whether a message may be written now, and how many were not since the last that was.
func (s *seldom) allow() (ok bool, missed int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if now.Before(s.next) {
		s.missed++
		return false, 0
	}
	missed = s.missed
	s.next, s.missed = now.Add(time.Minute), 0
	return true, missed
}
