package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// A service answers like Ory Kratos at /sessions/whoami. It has a session for every number as a token.
type service struct {
	latency   time.Duration
	questions atomic.Int64
	atOnce    atomic.Int64
	most      atomic.Int64 // questions at once
	ln        net.Listener
}

// start serves and returns the address.
func (s *service) start() (address string, err error) {
	if s.ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return "", err
	}
	server := &fasthttp.Server{Handler: s.answer, NoDefaultServerHeader: true}
	go func() { _ = server.Serve(s.ln) }()
	return s.ln.Addr().String(), nil
}

func (s *service) stop() { _ = s.ln.Close() }

func (s *service) answer(ctx *fasthttp.RequestCtx) {
	n, err := strconv.ParseUint(strings.TrimPrefix(string(ctx.Request.Header.Peek("X-Session-Token")), tokenPrefix), 10, 64)
	if err != nil {
		ctx.SetStatusCode(fasthttp.StatusUnauthorized)
		return
	}
	s.questions.Add(1)
	now := s.atOnce.Add(1)
	defer s.atOnce.Add(-1)
	for most := s.most.Load(); now > most && !s.most.CompareAndSwap(most, now); most = s.most.Load() {
	}
	if s.latency > 0 {
		time.Sleep(s.latency)
	}
	ctx.SetContentType("application/json; charset=utf-8")
	ctx.SetBody(statement(n))
}

const tokenPrefix = "ory_st_"

func token(n int) string { return fmt.Sprintf("%s%032d", tokenPrefix, n) }

// statement returns what Kratos v26.2.0 says, 1.3 KiB, about a person who is different for each n.
func statement(n uint64) []byte {
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
