package guard

import (
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// maxClients is of how many clients is remembered what they have used. The one forgotten is the one that asked the longest ago.
const maxClients = 1 << 16

// shares give every client an equal share of the questions about credentials that turn out to be nobody's. A question costs while it is
// under way, and goes on costing if the service says no, or takes it for a bad one. So an office behind one address can sign in at once, and whoever tries tokens
// soon has to wait.
//
// They are a GCRA, which keeps one time for each client: the one at which all of its questions will have been paid for.
type shares struct {
	price time.Duration // of one question
	most  time.Duration // that may be owed

	mu   sync.Mutex
	paid *simplelru.LRU[netip.Addr, time.Duration] // since base; what has passed is nothing owed
	base time.Time
}

// newShares gives every client perMinute questions at once, and as many a minute after that. It returns nil, which limits nobody, if
// perMinute is not positive.
func newShares(perMinute int) *shares {
	if perMinute <= 0 {
		return nil
	}
	paid, err := simplelru.NewLRU[netip.Addr, time.Duration](maxClients, nil)
	if err != nil {
		panic(err) // the size is positive
	}
	price := max(time.Minute/time.Duration(perMinute), 1)
	return &shares{price: price, most: time.Duration(perMinute) * price, paid: paid, base: time.Now()}
}

// take lets client ask a question if it owes less than its share.
func (s *shares) take(client netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Since(s.base)
	paid, _ := s.paid.Get(client)
	paid = max(paid, now) + s.price
	if paid > now+s.most {
		return false
	}
	s.paid.Add(client, paid)
	return true
}

// giveBack takes a question off the bill that was not answered with a no.
func (s *shares) giveBack(client netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if paid, ok := s.paid.Peek(client); ok {
		s.paid.Add(client, paid-s.price)
	}
}

// ask asks question on the share of the client from.
func (s *shares) ask(from netip.Addr, question func() error) error {
	if s == nil {
		return question()
	}
	if !s.take(from) {
		return upstream.ErrLimited
	}
	nobodys := false
	defer func() { // also if question panics
		if !nobodys {
			s.giveBack(from)
		}
	}()
	err := question()
	nobodys = errors.Is(err, upstream.ErrNoSession) || errors.Is(err, upstream.ErrBadQuestion)
	return err
}
