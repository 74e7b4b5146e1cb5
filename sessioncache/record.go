package sessioncache

import (
	"encoding/binary"
	"encoding/hex"
	"time"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// A record is an entry as it is remembered: one run of bytes without a pointer in it. The garbage collector follows every pointer in each of
// its cycles, and a million entries with a dozen each would keep it busy. It is immutable. Most are in slabs, from which it is copied.
//
// It is the digest of the credential, flags, and what else makes an entry; then what is seldom looked at, see rest.
type record string

// The flags of a record.
const (
	renewFlag byte = 1 << iota
	bodyFlag
	toldFlag
)

const flagsAt = len(digest{})

// newRecord returns the record of e. Without keepBody it cannot tell the service's statement.
func newRecord(e *entry, refs *references, keepBody bool) record {
	s := e.session
	f := refs.folders.Get().(*folder)
	defer refs.folders.Put(f)
	b := append(f.record[:0], e.digest[:]...)
	flags := byte(0)
	if keepBody {
		flags |= bodyFlag
	}
	if keepBody && s.Told != nil {
		flags |= toldFlag
	}
	b = append(b, flags, byte(s.AAL))
	b = binary.AppendUvarint(b, e.askedSeq)
	b = binary.AppendUvarint(b, uint64(e.askedAt))
	b = binary.AppendUvarint(b, uint64(e.freshUntil-e.askedAt))
	b = binary.AppendUvarint(b, uint64(e.staleUntil-e.freshUntil))
	b = appendTime(b, s.AuthenticatedAt)
	b = appendTime(b, s.ExpiresAt)
	b = appendID(b, s.ID)
	b = appendID(b, s.IdentityID)
	ids := s.ID + s.IdentityID
	f.memo = f.memo[:0]
	if m, ok := s.Memo().(upstream.Foldable); ok {
		f.memo = m.AppendFolded(f.memo)
	}
	b = refs.memos.appendText(f, b, ids, s.IdentityID, f.memo)
	if flags&toldFlag != 0 {
		b = refs.statements.appendText(f, b, ids, s.IdentityID, s.Told)
	}
	if keepBody {
		b = refs.statements.appendText(f, b, ids, s.IdentityID, s.Body)
	}
	f.record = b
	return record(b)
}

// renewing returns r with the flag that says that the next caller has to ask again.
func (r record) renewing() record {
	b := []byte(r)
	b[flagsAt] |= renewFlag
	return record(b)
}

// of reports whether r is about the credential that d stands for.
func (r record) of(d digest) bool { return string(r[:len(d)]) == string(d[:]) }

// wake returns the entry of which r is the record. It shares memory with r.
func (r record) wake(refs *references) *entry {
	w := new(struct {
		entry   entry
		session upstream.Session
		rest    rest
	})
	e, s, in := &w.entry, &w.session, &reader{string(r)}
	copy(e.digest[:], in.take(len(e.digest)))
	w.rest.flags = in.byte()
	s.AAL = upstream.AAL(in.byte())
	e.askedSeq = in.uint()
	e.askedAt = time.Duration(in.uint())
	e.freshUntil = e.askedAt + time.Duration(in.uint())
	e.staleUntil = e.freshUntil + time.Duration(in.uint())
	s.AuthenticatedAt, s.ExpiresAt = in.time(), in.time()
	ids := in.appendID(make([]byte, 0, 2*len("8e00b158-2bd8-449a-8d5e-4df6d8ce4248")))
	first := len(ids)
	w.rest.ids = string(in.appendID(ids))
	s.ID, s.IdentityID = w.rest.ids[:first], w.rest.ids[first:]
	w.rest.folded, w.rest.refs = in.rest, refs
	e.session = upstream.Unfold(s, &w.rest)
	e.record, e.renew, e.endsAt = r, w.rest.flags&renewFlag != 0, endsAt(s)
	e.begin()
	return e
}

// A rest is what is seldom looked at of a session that is remembered. It implements [upstream.Folded].
type rest struct {
	folded string // the memo; what whoami tells, if there is that; the statement, if it is kept
	flags  byte
	ids    string // of the session and of the identity, one after the other
	refs   *references
}

// Memo implements [upstream.Folded].
func (r *rest) Memo() []byte { return r.refs.memos.text(&reader{r.folded}, r.ids) }

// Told implements [upstream.Folded].
func (r *rest) Told() []byte {
	if r.flags&toldFlag == 0 {
		return nil
	}
	next := &reader{r.folded}
	skipText(next) // the memo
	return r.refs.statements.text(next, r.ids)
}

// Body implements [upstream.Folded].
func (r *rest) Body() (body []byte, kept bool) {
	if r.flags&bodyFlag == 0 {
		return nil, false
	}
	next := &reader{r.folded}
	skipText(next) // the memo
	if r.flags&toldFlag != 0 {
		skipText(next)
	}
	return r.refs.statements.text(next, r.ids), true
}

// appendID appends an id. A UUID as it is usually written (RFC 9562 section 4) is told in half of its length.
func appendID(b []byte, id string) []byte {
	var uuid [16]byte
	if len(id) == 36 {
		digits := id[:8] + id[9:13] + id[14:18] + id[19:23] + id[24:]
		_, err := hex.Decode(uuid[:], []byte(digits))
		if err == nil && string(appendUUID(make([]byte, 0, 36), uuid)) == id {
			return append(append(b, 0), uuid[:]...)
		}
	}
	return append(appendInt(b, len(id)+1), id...)
}

// appendID takes an id and appends it to dst.
func (r *reader) appendID(dst []byte) []byte {
	if n := r.int(); n > 0 {
		return append(dst, r.take(n-1)...)
	}
	return appendUUID(dst, [16]byte([]byte(r.take(16))))
}

func appendUUID(dst []byte, uuid [16]byte) []byte {
	dst = hex.AppendEncode(dst, uuid[:4])
	for _, group := range [...][]byte{uuid[4:6], uuid[6:8], uuid[8:10], uuid[10:]} {
		dst = hex.AppendEncode(append(dst, '-'), group)
	}
	return dst
}

// appendTime appends the seconds of a time and its nanoseconds plus 1, and of no time 0.
func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, 0)
	}
	return binary.AppendVarint(appendInt(b, t.Nanosecond()+1), t.Unix())
}

func (r *reader) time() time.Time {
	nanoseconds := r.int()
	if nanoseconds == 0 {
		return time.Time{}
	}
	zigzag := r.uint() // as in encoding/binary
	return time.Unix(int64(zigzag>>1)^-int64(zigzag&1), int64(nanoseconds-1)).UTC()
}
