package proxy

import "encoding/binary"

// frames follows the frames of one direction of a WebSocket (RFC 6455 section 5.2), so that a frame of our own can be put between two of
// them. It looks at nothing but their lengths, and at the end of the conversation.
type frames struct {
	head   [14]byte // of the frame that has begun
	n      int      // how much of head is there
	left   uint64   // of the payload
	closed bool     // a close frame has passed, after which there is nothing more to say
}

const (
	opcodeClose = 8
	finalFrame  = 0x80
	masked      = 0x80
)

// pass says that p went by.
func (f *frames) pass(p []byte) {
	for len(p) > 0 {
		if f.left > 0 {
			n := min(uint64(len(p)), f.left)
			f.left -= n
			p = p[n:]
			continue
		}
		f.head[f.n] = p[0]
		f.n++
		p = p[1:]
		if size, complete := payload(f.head[:f.n]); complete {
			f.closed = f.closed || f.head[0]&0xf == opcodeClose
			f.left, f.n = size, 0
		}
	}
}

// between reports whether a frame may be put in now.
func (f *frames) between() bool { return f.n == 0 && f.left == 0 && !f.closed }

// payload returns the length of a frame's payload. It reports false while the head is not complete.
func payload(head []byte) (size uint64, complete bool) {
	if len(head) < 2 {
		return 0, false
	}
	need := 2
	size = uint64(head[1] &^ masked)
	switch size {
	case 126:
		need += 2
	case 127:
		need += 8
	}
	if head[1]&masked != 0 {
		need += 4
	}
	if len(head) < need {
		return 0, false
	}
	switch size {
	case 126:
		size = uint64(binary.BigEndian.Uint16(head[2:]))
	case 127:
		size = binary.BigEndian.Uint64(head[2:])
	}
	return size, true
}

// closeFrame returns a close frame as servers send it (RFC 6455 section 5.5.1). The reason has at most 123 bytes.
func closeFrame(code uint16, reason string) []byte {
	f := []byte{finalFrame | opcodeClose, byte(2 + len(reason))}
	f = binary.BigEndian.AppendUint16(f, code)
	return append(f, reason...)
}
