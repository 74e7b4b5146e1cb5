package sessiontoken

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// An Answer is a reply to a question for a token.
type Answer struct {
	Reply   upstream.Reply
	Renewed []upstream.Field // as in [upstream.Answer]
	Until   time.Time        // when the reply is no longer to be given out; zero is at once
}

// Ask asks the session service for a token on behalf of a client, whose address may be invalid. Its errors are those of an [upstream.Store].
type Ask func(ctx context.Context, c upstream.Credential, template string, client netip.Addr) (Answer, error)

// Sessions are what says whether a session stands.
type Sessions interface {
	Lookup(ctx context.Context, c upstream.Credential, within time.Duration) (upstream.Answer, error)
	LatestRevocation() uint64
	RevokedSince(number uint64, c upstream.Credential, s *upstream.Session) bool
}

// A Cache hands out tokens. It is safe for concurrent use.
type Cache struct {
	sessions Sessions
	ask      Ask
	table    *table
	flights  singleflight.Group
}

// New returns a Cache that asks ask, and keeps replies of so many bytes in all, at the most.
func New(sessions Sessions, ask Ask, bytes int) *Cache {
	return &Cache{sessions: sessions, ask: ask, table: newTable(bytes)}
}

// errUnsettled is an outage.
var errUnsettled = errors.New("session was revoked while a token was made for it, again and again")

// errTemplate refuses what cannot be the name of a template.
var errTemplate = &upstream.Refusal{
	Status: http.StatusBadRequest, ContentType: "application/json", Body: []byte(`{"status":400,"message":"template is not the name of one"}` + "\n"),
}

// maxRounds is how often one look-up asks when the session is revoked meanwhile.
const maxRounds = 2

// Token returns the service's reply to a request for a token, whose query may name a template. Its errors are those of an [upstream.Store].
func (c *Cache) Token(ctx context.Context, cred upstream.Credential, client netip.Addr, query []byte) (upstream.Reply, error) {
	template, ok := templateOf(query)
	if !ok {
		return upstream.Reply{}, errTemplate
	}
	key, limit := digest(cred, 't', template), digest(cred, 'l', "")
	for range maxRounds {
		session, err := c.sessions.Lookup(ctx, cred, upstream.Unlimited)
		if err != nil {
			return upstream.Reply{}, err
		}
		e := c.table.get(key)
		if !c.stands(e, cred, &session) {
			e = c.table.get(limit)
		}
		renewed := session.Renewed
		if !c.stands(e, cred, &session) {
			arrived, err := c.fetch(ctx, key, limit, cred, session.Session, template, client)
			if err != nil {
				return upstream.Reply{}, err
			}
			if e = arrived.entry; !c.belongs(e, cred, session.Session) {
				continue
			}
			renewed = append(renewed, arrived.renewed...)
		}
		reply := e.reply
		reply.Header = append(reply.Header[:len(reply.Header):len(reply.Header)], renewed...)
		return reply, nil
	}
	return upstream.Reply{}, errUnsettled
}

// stands reports whether e may be given out to whoever has the session.
func (c *Cache) stands(e *entry, cred upstream.Credential, a *upstream.Answer) bool {
	return e != nil && time.Now().Before(e.until) && c.belongs(e, cred, a.Session)
}

// belongs reports whether e was made for the session s, and that was not revoked since.
func (c *Cache) belongs(e *entry, cred upstream.Credential, s *upstream.Session) bool {
	return e.session == s.ID && e.identity == s.IdentityID && !c.sessions.RevokedSince(e.number, cred, s)
}

// An arrival is a reply for those who wait for it.
type arrival struct {
	*entry
	renewed []upstream.Field // which is theirs, and not remembered
}

// fetch asks the service, once for all who want the same at the same time. The question goes on without a caller who leaves.
func (c *Cache) fetch(
	ctx context.Context, key, limit [sha256.Size]byte, cred upstream.Credential, s *upstream.Session, template string, client netip.Addr,
) (*arrival, error) {
	cred.Value = append([]byte(nil), cred.Value...) // the caller's memory is the caller's again when it leaves
	detached := context.WithoutCancel(ctx)
	flight := c.flights.DoChan(string(key[:]), func() (any, error) {
		number := c.sessions.LatestRevocation()
		a, err := c.ask(detached, cred, template, client)
		if err != nil {
			return nil, err
		}
		e := &entry{number: number, session: s.ID, identity: s.IdentityID, reply: a.Reply, until: a.Until}
		if a.Reply.Status == http.StatusTooManyRequests {
			key = limit // whatever else is asked for, it is this credential's limit
		}
		if time.Now().Before(e.until) {
			c.table.add(key, e)
		}
		return &arrival{e, a.Renewed}, nil
	})
	select {
	case r := <-flight:
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.(*arrival), nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for a token: %w", ctx.Err())
	}
}

// templateOf returns the template that a query names, which is empty if it names none. It reports false for what is no name of one.
func templateOf(query []byte) (string, bool) {
	values, err := url.ParseQuery(string(query))
	if err != nil || len(values["template"]) > 1 {
		return "", false
	}
	template := values.Get("template")
	for _, b := range []byte(template) {
		letter := b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z'
		if !letter && (b < '0' || b > '9') && b != '-' && b != '_' && b != '.' {
			return "", false
		}
	}
	return template, len(template) <= 64
}

// digest stands for a credential and what is remembered of it. Each part has its length before it, so that no two lists of parts are one.
func digest(c upstream.Credential, what byte, template string) [sha256.Size]byte {
	b := make([]byte, 0, 512)
	b = append(b, what, byte(c.Kind))
	for _, part := range [][]byte{[]byte(c.Name), c.Value, []byte(template)} {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	return sha256.Sum256(b)
}
