package soak

import (
	"context"
	"flag"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

var (
	length  = flag.Duration("length", usual(), "how long the soak takes")
	people  = flag.Int("people", 48, "how many use the gateway at once")
	between = flag.Duration("between", 20*time.Millisecond, "how long each of them pauses on average before the next request")
	seed    = flag.Uint64("seed", rand.Uint64(), "what happens follows from this")
)

// usual is how long the soak takes where nobody says more. With the race detector it is there to find races, which takes less time.
func usual() time.Duration {
	if raceEnabled {
		return 20 * time.Second
	}
	return time.Minute
}

// patience is how long the gateway may take to come to rest. It only bounds a failure.
const patience = 2 * time.Minute

// A scene is a gateway and everything around it.
type scene struct {
	seed    uint64
	between time.Duration
	tally   *tally
	app     *application
	service *service
	gateway *gateway
}

// A service is a session service that can be killed and started again.
type service struct {
	upstreamtest.Service
	place *place
}

func TestSoak(t *testing.T) {
	t.Logf("-seed %d -length %v -people %d -between %v", *seed, *length, *people, *between)
	s := &scene{seed: *seed, between: *between, tally: new(tally), service: new(service)}
	s.app = startApplication(t, s.tally)
	s.service.place = newPlace(t, s.service)
	s.gateway = startGateway(t, s.tally, s.app.address, s.service.place.address)
	before := s.rest(t)

	began := time.Now()
	everybody, sizes := s.run(t)
	rate := float64(s.tally.total.Load()) / time.Since(began).Seconds()

	for _, p := range everybody {
		await(t, "somebody is not served although nothing is broken any more", p.settled)
		p.client.CloseIdleConnections()
	}
	s.app.kill()
	s.service.place.kill()
	s.compare(t, before)
	s.flat(t, sizes)
	t.Logf("%d requests, %.0f a second\n%v", s.tally.total.Load(), rate, s.tally)
	for _, wrong := range s.tally.first {
		t.Error(wrong)
	}
	if more := s.tally.amiss - len(s.tally.first); more > 0 {
		t.Errorf("and %d more", more)
	}
}

// run lets everybody live, and measures the gateway every second.
func (s *scene) run(t *testing.T) (everybody []*person, sizes []size) {
	ctx, cancel := context.WithTimeout(t.Context(), *length)
	defer cancel()
	var living sync.WaitGroup
	for i := range *people {
		p := newPerson(s, i)
		everybody = append(everybody, p)
		living.Go(func() { p.live(ctx) })
	}
	living.Go(func() { s.troubles(ctx) })
	ticks := time.NewTicker(time.Second)
	defer ticks.Stop()
	for ctx.Err() == nil {
		select {
		case <-ticks.C:
			now, err := s.gateway.size()
			if err != nil {
				t.Fatalf("measure gateway: %v", err)
			}
			sizes = append(sizes, now)
		case <-ctx.Done():
		}
	}
	living.Wait()
	return everybody, sizes
}

// troubles breaks one thing after the other and repairs it, until ctx ends. Everything is whole when it returns.
func (s *scene) troubles(ctx context.Context) {
	random := rand.New(rand.NewPCG(s.seed, 0xbad))
	milliseconds := func(most int) time.Duration { return time.Duration(random.IntN(most)) * time.Millisecond }
	for {
		select {
		case <-time.After(milliseconds(3000)):
		case <-ctx.Done():
			return
		}
		switch random.IntN(6) {
		case 0, 1:
			s.tally.troubled("application restarted")
			s.app.restart(milliseconds(300), s.reached)
		case 2:
			s.tally.troubled("session service restarted")
			s.service.place.kill()
			pause(milliseconds(1500))
			s.service.place.serve()
		case 3, 4:
			faults := upstreamtest.Outages()
			fault := faults[random.IntN(len(faults))]
			s.tally.troubled("session service " + fault.String())
			s.service.Break(fault)
			pause(milliseconds(1500))
			s.service.Break(upstreamtest.Healthy)
		case 5:
			command := []string{"/-/reload", "/-/flush"}[random.IntN(2)]
			s.tally.troubled(command)
			if err := s.gateway.post(command, nil); err != nil {
				s.tally.wrong("%v", err)
			}
		}
	}
}

// reached returns when the gateway has found out that there is an application again. It does not try all the time.
func (s *scene) reached() {
	for end := time.Now().Add(patience); time.Now().Before(end); pause(10 * time.Millisecond) {
		resp, err := s.gateway.client.Get(s.gateway.url + "/public/page")
		if err != nil {
			continue
		}
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return
		}
	}
	s.tally.wrong("the application is not found again")
}

// rest lets one person use every face, and somebody be refused, and returns what the gateway holds then: fasthttp begins a goroutine for its date
// with the first answer of its own way, which has no end.
func (s *scene) rest(t *testing.T) size {
	t.Helper()
	p := newPerson(s, 0)
	await(t, "nobody is served", p.settled)
	p.client.CloseIdleConnections()
	resp, err := s.gateway.client.Get(s.gateway.url + "/sessions/whoami")
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		t.Fatalf("nobody is refused: %v", err)
	}
	_ = resp.Body.Close()
	now, err := s.gateway.size()
	if err != nil {
		t.Fatalf("measure gateway: %v", err)
	}
	return now
}

// compare waits until the gateway is back to what it held before.
func (s *scene) compare(t *testing.T, before size) {
	t.Helper()
	var now size
	await(t, "the gateway does not give back what it held", func() bool {
		var err error
		if now, err = s.gateway.size(); err != nil {
			t.Fatalf("measure gateway: %v", err)
		}
		return now.goroutines <= before.goroutines && now.files <= before.files
	})
	t.Logf("before: %v; after: %v", before, now)
}

// flat compares the memory of the first third of the time with that of the last. What fills up in the beginning, such as the cache, is
// not looked at.
func (s *scene) flat(t *testing.T, sizes []size) {
	t.Helper()
	sizes = sizes[len(sizes)/6:]
	third := len(sizes) / 3
	if third == 0 {
		t.Fatal("too short to say anything of the memory")
	}
	first, last := median(sizes[:third]), median(sizes[len(sizes)-third:])
	t.Logf("first third: %v; last third: %v (medians of each)", first, last)
	if raceEnabled {
		t.Log("memory is not judged: the race detector keeps a history")
		return
	}
	if last.resident > first.resident*5/4+(8<<10) {
		t.Errorf("memory grew from %d KiB to %d KiB", first.resident, last.resident)
	}
}

// median returns the median of each measure.
func median(sizes []size) (m size) {
	of := func(measure func(size) int) int {
		var values []int
		for _, s := range sizes {
			values = append(values, measure(s))
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	m.goroutines = of(func(s size) int { return s.goroutines })
	m.files = of(func(s size) int { return s.files })
	m.resident = of(func(s size) int { return s.resident })
	return m
}

// await waits until done, and ends the test if it never is.
func await(t *testing.T, otherwise string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !done(); pause(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(otherwise)
		}
	}
}
