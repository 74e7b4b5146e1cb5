package embedded

import "time"

// SetLimit sets how many sessions, and how many identities, a service holds.
func (s *Service) SetLimit(n int) { s.limit = n }

// Counts returns how many sessions, tokens, identities, and identities with sessions there are in memory.
func (s *Service) Counts() [4]int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return [4]int{len(s.state.sessions), len(s.state.byToken), len(s.state.identities), len(s.state.byIdentity)}
}

// BreakFile makes every later write to the file fail.
func (s *Service) BreakFile() error { return s.file.db.Close() }

// ReadCookie reads a cookie value as a request is read, and returns the id of its session.
func (s *Service) ReadCookie(value string, at time.Time) (sessionID string, ok bool) {
	c, ok := s.unseal(value, at)
	return c.sessionID, ok
}
