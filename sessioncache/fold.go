package sessioncache

import (
	"encoding/binary"
	"math/bits"
)

// What a service says of different sessions is the same but for ids, names and times, which are in it several times over. So text is folded:
// told as pieces of a reference that all share, pieces of what the text itself has said already, and what is left. It is the oldest way to
// compress (LZ77, Ziv and Lempel 1977, with a preset dictionary), without an entropy coder, so that unfolding is no more than copying.
//
// Folded text is a list of steps: the number of new bytes, these, the number of copied bytes, and where they begin, counted in the reference
// and, beyond its end, in the text. The last step copies 0 bytes from nowhere. Numbers are uvarints.

const (
	shortestCopy = 6 // what is shorter is told in as many bytes
	foldBits     = 11
	longestFold  = 1<<16 - 1 // of reference and text together; what is longer is told as it is
)

// places is where the latest piece with each hash begins in a text, plus 1.
type places [1 << foldBits]uint16

func (p *places) of(piece []byte) *uint16 {
	return &p[binary.LittleEndian.Uint64(piece)<<(64-8*shortestCopy)*0x9e3779b97f4a7c15>>(64-foldBits)]
}

// A reference is a text that others are folded with.
type reference struct {
	text   string
	places places
}

func newReference(text string) *reference {
	r := &reference{text: text}
	for i := 0; i+8 <= len(text) && len(text) <= longestFold; i++ {
		*r.places.of([]byte(text[i : i+8])) = uint16(i + 1)
	}
	return r
}

// A folder folds one text at a time, in memory that it keeps.
type folder struct {
	whole  []byte // the reference, and the text
	places places

	memo, record []byte // of those who make a record
}

// append appends text to dst, folded with shared and own together.
func (f *folder) append(dst []byte, shared *reference, own string, text []byte) []byte {
	f.whole = append(append(append(f.whole[:0], shared.text...), own...), text...)
	f.places = shared.places
	whole, begin := f.whole, len(shared.text)+len(own)
	told := begin
	for i := max(0, len(shared.text)-7); i+8 <= len(whole) && len(whole) <= longestFold; {
		place := f.places.of(whole[i:])
		from := int(*place) - 1
		*place = uint16(i + 1)
		n := 0
		if i >= begin && from >= 0 {
			n = alike(whole, from, i)
		}
		if n < shortestCopy {
			i++
			continue
		}
		dst = appendPart(dst, whole[told:i])
		dst = appendInt(dst, n)
		dst = appendInt(dst, from)
		i += n
		told = i
	}
	return append(appendPart(dst, whole[told:]), 0)
}

// alike returns how many bytes are the same from i and from j on, of which j is the greater.
func alike(b []byte, i, j int) (n int) {
	for ; j+n+8 <= len(b); n += 8 {
		if differ := binary.LittleEndian.Uint64(b[i+n:]) ^ binary.LittleEndian.Uint64(b[j+n:]); differ != 0 {
			return n + bits.TrailingZeros64(differ)/8
		}
	}
	for j+n < len(b) && b[i+n] == b[j+n] {
		n++
	}
	return n
}

// unfold appends to dst, which is empty, the next text in folded, which was folded with the reference that is shared and own together.
func unfold(dst []byte, folded *reader, shared, own string) []byte {
	reference := len(shared) + len(own)
	for {
		dst = append(dst, folded.text()...)
		n := folded.int()
		if n == 0 {
			return dst
		}
		for from := folded.int(); n > 0; { // a piece may reach from the reference into the text, and into what it adds to that
			told := len(dst)
			switch {
			case from < len(shared):
				dst = append(dst, shared[from:min(from+n, len(shared))]...)
			case from < reference:
				dst = append(dst, own[from-len(shared):min(from+n-len(shared), len(own))]...)
			default:
				dst = append(dst, dst[from-reference:min(from-reference+n, told)]...)
			}
			from, n = from+len(dst)-told, n-(len(dst)-told)
		}
	}
}

// skip goes past the next text in folded.
func skip(folded *reader) {
	for folded.text(); folded.int() > 0; folded.text() {
		folded.int()
	}
}

// common returns the pieces of text that are in other, too: a reference to which both can be folded, and which tells of neither what it does
// not share with the other.
func common(other, text string) string {
	var shared []byte
	folded := &reader{string(new(folder).append(nil, newReference(other), "", []byte(text)))}
	for {
		folded.text()
		n := folded.int()
		if n == 0 {
			return string(shared)
		}
		if from := folded.int(); from+n <= len(other) {
			shared = append(shared, other[from:from+n]...)
		}
	}
}

func appendInt(dst []byte, n int) []byte { return binary.AppendUvarint(dst, uint64(n)) }

// A reader takes numbers and texts from the front of what was written here. It panics where they are not there.
type reader struct{ rest string }

func (r *reader) uint() (v uint64) {
	for shift := 0; ; shift += 7 {
		b := r.rest[0]
		r.rest = r.rest[1:]
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return v
		}
	}
}

func (r *reader) byte() byte { return r.take(1)[0] }

func (r *reader) int() int { return int(r.uint()) }

func (r *reader) text() string { return r.take(r.int()) }

func (r *reader) take(n int) string {
	t := r.rest[:n]
	r.rest = r.rest[n:]
	return t
}
