package sessioncache

import (
	"crypto/rand"
	"encoding/binary"

	"github.com/dchest/siphash"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// A digest stands for a credential, a session id or an identity id in every table. It is a SipHash-2-4-128 under a key that nobody
// outside of this process knows, so a client that chooses its tokens cannot choose its digests. For a cookie of 428 bytes that costs
// a tenth of a SHA-256 without hardware support.
type digest [16]byte

// What a digest stands for is its first part, so that no id can collide with a credential.
const (
	aCredential byte = iota + 1
	aSession
	anIdentity
)

// A hasher makes the digests of one Cache.
type hasher struct {
	k0, k1  uint64
	service string
}

func newHasher(service string) hasher {
	var key [16]byte
	_, _ = rand.Read(key[:]) // never fails: crypto/rand ends the process instead
	return hasher{binary.LittleEndian.Uint64(key[:8]), binary.LittleEndian.Uint64(key[8:]), service}
}

func (h *hasher) credential(c upstream.Credential) digest {
	var buf [768]byte // on the stack; what is longer is built on the heap by append
	b := append(buf[:0], aCredential, byte(c.Kind))
	b = appendPart(b, h.service)
	b = appendPart(b, c.Name)
	b = appendPart(b, c.Value)
	return h.sum(b)
}

func (h *hasher) session(id string) digest { return h.id(aSession, id) }

func (h *hasher) identity(id string) digest { return h.id(anIdentity, id) }

func (h *hasher) id(what byte, id string) digest {
	var buf [128]byte
	b := append(buf[:0], what)
	b = appendPart(b, h.service)
	b = appendPart(b, id)
	return h.sum(b)
}

func (h *hasher) sum(b []byte) (d digest) {
	lo, hi := siphash.Hash128(h.k0, h.k1, b)
	binary.LittleEndian.PutUint64(d[:8], lo)
	binary.LittleEndian.PutUint64(d[8:], hi)
	return d
}

// appendPart puts the length before the bytes, so that no two lists of parts read the same.
func appendPart[T string | []byte](b []byte, part T) []byte {
	b = binary.AppendUvarint(b, uint64(len(part)))
	return append(b, part...)
}
