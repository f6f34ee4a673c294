package api

import (
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strconv"
	"unicode/utf8"

	"cairn/consensus"
	"cairn/types"
)

// appendBlock appends the JSON of client.Block for the block at a height. It
// writes byte for byte what encoding/json writes for that type without HTML
// escapes, but without building one: whole chains go through here.
func appendBlock(b []byte, rules *consensus.Rules, height uint32, block *types.Block) []byte {
	b = append(b, `{"index":`...)
	b = strconv.AppendUint(b, uint64(height), 10)
	b = append(b, `,"previous_hash":`...)
	if block.Header.Previous == (types.Hash{}) {
		b = append(b, '0')
	} else {
		b = append(b, '"')
		b = appendHash(b, block.Header.Previous)
		b = append(b, '"')
	}
	b = append(b, `,"proof":`...)
	b = strconv.AppendUint(b, uint64(block.Header.Nonce), 10)
	b = append(b, `,"timestamp":`...)
	b = strconv.AppendUint(b, uint64(block.Header.Time), 10)
	b = append(b, `,"transactions":[`...)
	for i := range block.Transfers {
		t := &block.Transfers[i]
		b = appendTransaction(b, rules, t.Amount, t.Recipient, t.Sender)
		b = append(b, ',')
	}
	// Genesis has a reward that rewards nobody: it carries the rules.
	if height > 0 {
		b = appendTransaction(b, rules, block.Reward.Amount, block.Reward.Recipient, types.System)
	}
	return append(b, "]}"...)
}

func appendTransaction(b []byte, rules *consensus.Rules, amount uint64, recipient, sender types.Account) []byte {
	b = append(b, `{"amount":`...)
	b = rules.AppendAmount(b, amount)
	b = append(b, `,"recipient":`...)
	b = appendString(b, rules.FormatAccount(recipient))
	b = append(b, `,"sender":`...)
	if sender == types.System {
		b = append(b, `"0"`...)
	} else {
		b = appendString(b, rules.FormatAccount(sender))
	}
	return append(b, '}')
}

// appendHash appends the hex digits of a hash as it is printed, last byte first.
func appendHash(b []byte, h types.Hash) []byte {
	slices.Reverse(h[:])
	return hex.AppendEncode(b, h[:])
}

// appendString appends a JSON string that stands for s.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0 // of what needs no escape
	for i := 0; i < len(s); {
		if len(s)-i >= 8 && plain([8]byte([]byte(s[i:i+8]))) {
			i += 8
			continue
		}
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r >= utf8.RuneSelf && r != '\u2028' && r != '\u2029' && (r != utf8.RuneError || size > 1) {
			i += size
			continue
		}
		b = append(b, s[start:i]...)
		b = appendEscape(b, r)
		i += size
		start = i
	}
	return append(append(b, s[start:]...), '"')
}

// plain tells that eight bytes stand for themselves in a string of JSON. It does
// not look at them one by one: a byte's highest bit comes up for what is above
// ASCII, and when more is taken from the byte than it has.
func plain(bytes [8]byte) bool {
	const each = 0x0101010101010101
	b := binary.LittleEndian.Uint64(bytes[:])
	odd := b | (b - ' '*each) | ((b ^ '"'*each) - each) | ((b ^ '\\'*each) - each)
	return odd&(0x80*each) == 0
}

// appendEscape appends a character that does not stand for itself in a string of
// JSON, or that scripts of old take for the end of a line.
func appendEscape(b []byte, r rune) []byte {
	switch r {
	case '"', '\\':
		return append(b, '\\', byte(r))
	case '\b':
		return append(b, `\b`...)
	case '\f':
		return append(b, `\f`...)
	case '\n':
		return append(b, `\n`...)
	case '\r':
		return append(b, `\r`...)
	case '\t':
		return append(b, `\t`...)
	}
	const digits = "0123456789abcdef"
	return append(b, '\\', 'u', digits[r>>12&15], digits[r>>8&15], digits[r>>4&15], digits[r&15])
}
