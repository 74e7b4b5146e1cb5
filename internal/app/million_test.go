package app_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/proxy"
	"github.com/gatehouse-proxy/gatehouse/sessioncache"
	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/kratos"
	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

// BenchmarkSessions fills a cache with sessions as Kratos states them, has every one of them judged once, and says what it costs to hold
// them: memory, work of the garbage collector, and the time of a hit. Run it alone, for the time of a hit is that of a quiet machine:
//
//	go test -run '^$' -bench Sessions -benchtime 300000x ./internal/app
func BenchmarkSessions(b *testing.B) {
	f := func(name string, sessions int, drop bool) {
		b.Run(name, func(b *testing.B) {
			before := residentAfterGC(b)
			g, cache := crowded(b, sessions, drop)
			decide := func(i int) upstream.Source {
				d := g.Decide(context.Background(), target, oneOfMany(i))
				if d.Verdict != policy.Allowed {
					b.Fatalf("verdict is %v: %v", d.Verdict, d.Err)
				}
				return d.Source
			}
			for i := range sessions {
				decide(i)
				if i%4096 == 4095 {
					time.Sleep(time.Millisecond) // as a service would take; ristretto drops what comes faster than it can take in
				}
			}
			time.Sleep(100 * time.Millisecond)
			held := 0
			for i := range sessions {
				if decide(i) == upstream.Hit {
					held++
				}
			}
			after := residentAfterGC(b)
			cost, pause := collection()

			took := make([]time.Duration, 0, b.N)
			order := rand.New(rand.NewPCG(1, 2))
			for b.Loop() {
				who := oneOfMany(order.IntN(sessions))
				began := time.Now()
				d := g.Decide(context.Background(), target, who)
				took = append(took, time.Since(began))
				if d.Verdict != policy.Allowed {
					b.Fatalf("verdict is %v: %v", d.Verdict, d.Err)
				}
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2]), "ns-p50")
			b.ReportMetric(float64(took[len(took)*99/100]), "ns-p99")
			b.ReportMetric(float64(held), "held")
			b.ReportMetric(float64(after>>20), "resident-MiB")
			b.ReportMetric(float64(after-before)/float64(sessions), "B/session")
			b.ReportMetric(float64(cost.Microseconds())/1000, "ms-CPU/GC")
			b.ReportMetric(float64(pause.Microseconds()), "µs-longest-pause")
			b.ReportMetric(float64(cache.Stats().HotRejections), "rejected")
		})
	}
	f("1k", 1000, false)
	f("1M", 1_000_000, false)
	f("1M/keep_body=false", 1_000_000, true)
}

// crowded returns a gate before a cache for so many sessions, and a service that has any number of them.
func crowded(b *testing.B, sessions int, drop bool) (*proxy.Gate, *sessioncache.Cache) {
	compiled, err := policy.Compile([]policy.Rule{{Path: "/*", Access: policy.SessionAccess}}, []policy.Header{
		{Name: "X-User-Id", Path: "identity.id"},
		{Name: "X-User-Email", Path: "identity.traits.email"},
		{Name: "X-Session-Id", Path: "id"},
		{Name: "X-Session-Aal", Path: "authenticator_assurance_level"},
		{Name: "X-User-Name", Path: "identity.traits.name"},
	})
	if err != nil {
		b.Fatal(err)
	}
	cache, err := sessioncache.New(crowd{}, sessioncache.Config{
		Service: "test", Size: sessions, FreshFor: time.Hour, DropBody: drop,
		Prepare: func(s *upstream.Session) { compiled.Prepare(s, nil) },
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(cache.Close)
	return proxy.NewGate(serviceOf(cache), compiled), cache
}

// A crowd is a session service that states a session for every number, each with ids and times of its own.
type crowd struct{}

func (crowd) Session(_ context.Context, c upstream.Credential) (upstream.Answer, error) {
	n, err := strconv.Atoi(strings.TrimPrefix(string(c.Value), "ory_st_"))
	if err != nil {
		return upstream.Answer{}, upstream.ErrNoSession
	}
	s, err := kratos.Parse(kratosBody(uint64(n)))
	return upstream.Answer{Session: s, BelieveFor: upstream.Unlimited}, err
}

func oneOfMany(n int) *presents {
	return &presents{proxy.Presented{Credential: upstreamtest.Token(fmt.Sprintf("ory_st_%032d", n))}}
}

// kratosBody returns what Kratos v26.2.0 says at /sessions/whoami, 1.3 KiB, about a person who is different for each n.
func kratosBody(n uint64) []byte {
	r := rand.New(rand.NewPCG(n, 0))
	id := func() string {
		a, b := r.Uint64(), r.Uint64()
		return fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", a>>32, a>>16&0xffff, a&0xfff, 0x8000|b>>48&0x3fff, b&0xffffffffffff)
	}
	now := time.Now().UTC()
	at := func(ago time.Duration) string {
		return now.Add(-ago + time.Duration(r.Int64N(int64(time.Hour)))).Format(time.RFC3339Nano)
	}
	authenticated, created := at(time.Hour), at(8760*time.Hour)
	email := fmt.Sprintf("%s.%d@example.test", []string{"alice", "bob", "carol", "dave"}[r.IntN(4)], n)
	return fmt.Appendf(nil, `{"id":"%s","active":true,"expires_at":"%s","authenticated_at":"%s","authenticator_assurance_level":"aal1",`+
		`"authentication_methods":[{"method":"password","aal":"aal1","completed_at":"%s"}],"issued_at":"%s","identity":{"id":"%s",`+
		`"schema_id":"default","schema_url":"http://127.0.0.1:4433/schemas/ZGVmYXVsdA","state":"active","state_changed_at":"%s",`+
		`"traits":{"email":"%s","name":{"first":"First%d","last":"Last%d"}},"verifiable_addresses":[{"id":"%s","value":"%s","verified":false,`+
		`"via":"email","status":"pending","created_at":"%s","updated_at":"%s"}],"recovery_addresses":[{"id":"%s","value":"%s","via":"email",`+
		`"created_at":"%s","updated_at":"%s"}],"metadata_public":{"role":"user","n":%d},"created_at":"%s","updated_at":"%s",`+
		`"organization_id":null},"devices":[{"id":"%s","ip_address":"192.0.2.%d:%d","user_agent":"Mozilla/5.0 (X11; Linux x86_64; rv:%d.0)",`+
		`"location":""}]}`+"\n",
		id(), at(-24*time.Hour), authenticated, authenticated, authenticated, id(), created, email, n, n, id(), email, created, created,
		id(), email, created, created, n, created, created, id(), r.IntN(256), r.IntN(65536), 100+r.IntN(40))
}

// residentAfterGC returns the resident set of the process when the garbage is collected and given back, in bytes.
func residentAfterGC(b *testing.B) int64 {
	b.Helper()
	debug.FreeOSMemory()
	status, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Skip("this system does not say what is resident: ", err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(status))[1], 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// collection returns the CPU time of one collection of garbage, and the longest of its pauses.
func collection() (cost, pause time.Duration) {
	sample := []metrics.Sample{{Name: "/cpu/classes/gc/total:cpu-seconds"}}
	runtime.GC() // the figures are those of the last cycle
	metrics.Read(sample)
	before := sample[0].Value.Float64()
	runtime.GC()
	metrics.Read(sample)
	var gc debug.GCStats
	debug.ReadGCStats(&gc)
	return time.Duration((sample[0].Value.Float64() - before) * float64(time.Second)), slices.Max(gc.Pause[:min(2, len(gc.Pause))])
}
