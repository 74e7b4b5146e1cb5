package proxy

import (
	"strings"
	"testing"
)

// However a conversation is cut into pieces, it is known where a frame may be put in: before each frame and after it, and nowhere once
// one side has said that it closes.
func TestFrames(t *testing.T) {
	head := func(n int) string {
		switch {
		case n < 126:
			return string([]byte{byte(n)})
		case n < 1<<16:
			return string([]byte{126, byte(n >> 8), byte(n)})
		default:
			return string([]byte{127, 0, 0, 0, 0, 0, byte(n >> 16), byte(n >> 8), byte(n)})
		}
	}
	frame := func(first byte, n int) string { return string([]byte{first}) + head(n) + strings.Repeat("\x88", n) }
	masked := "\x81\x85key!hello"
	all := []string{
		frame(0x81, 0), frame(0x01, 5), frame(0x89, 125), frame(0x80, 126), masked, frame(0x82, 1<<16-1), frame(0x82, 1<<16), frame(0x8a, 3),
	}
	for _, size := range []int{1, 2, 3, 7, 125, 4096, 1 << 20} {
		var f frames
		for i, frame := range all {
			if !f.between() {
				t.Fatalf("pieces of %d: no room before frame %d", size, i)
			}
			for len(frame) > 0 {
				n := min(size, len(frame))
				f.pass([]byte(frame[:n]))
				if frame = frame[n:]; len(frame) > 0 && f.between() {
					t.Fatalf("pieces of %d: room within frame %d, before %q", size, i, frame[:min(9, len(frame))])
				}
			}
		}
		f.pass([]byte(strings.Join(all, "")))
		if !f.between() {
			t.Errorf("pieces of %d: no room after all frames at once", size)
		}
		f.pass(closeFrame(1000, "bye"))
		if f.between() {
			t.Errorf("pieces of %d: room after a close frame", size)
		}
	}
}
