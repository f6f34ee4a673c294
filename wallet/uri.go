package wallet

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"cairn/consensus"
	"cairn/types"
)

const (
	scheme = "cairn"
	maxURI = 2048 // bytes
)

// Payment is a request to be paid, which travels as a URI in the manner of BIP
// 321: cairn:ADDRESS?amount=1.5&label=Shop&message=Order%207.
type Payment struct {
	Rules     *consensus.Rules
	Recipient types.Account
	Amount    uint64 // base units; 0 leaves it to the payer
	Label     string // who is paid
	Message   string // what for
}

// ParseURI reads a payment URI of the network, at most 2,048 bytes. Scheme,
// address and the names of parameters may be in upper case, as QR codes are
// smaller then. As in BIP 321 a space is %20 and a + is a +; parameters that are
// not known are ignored unless they begin with "req-". None may come twice. The
// errors wrap ErrURI, together with those of consensus.Rules for an address or
// an amount.
func ParseURI(rules *consensus.Rules, text string) (Payment, error) {
	p := Payment{Rules: rules}
	if err := p.read(text); err != nil {
		return Payment{}, fmt.Errorf("%w: %w", ErrURI, err)
	}
	return p, nil
}

func (p *Payment) read(text string) error {
	if len(text) > maxURI {
		return fmt.Errorf("it has %d bytes; the most is %d", len(text), maxURI)
	}
	if i := strings.IndexFunc(text, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '#' }); i >= 0 {
		return fmt.Errorf("what stands at byte %d is written as %% and two hex digits in a URI", i)
	}
	start, rest, ok := strings.Cut(text, ":")
	if !ok || !strings.EqualFold(start, scheme) {
		return fmt.Errorf("it does not begin with %q", scheme+":")
	}
	address, query, _ := strings.Cut(rest, "?")
	address, err := url.PathUnescape(address)
	if err != nil {
		return err
	}
	if p.Recipient, err = p.Rules.ParseAccount(address); err != nil {
		return err
	}
	return p.readQuery(query)
}

func (p *Payment) readQuery(query string) error {
	seen := map[string]bool{}
	for part := range strings.SplitSeq(query, "&") {
		if part == "" {
			continue
		}
		key, value, _ := strings.Cut(part, "=")
		// PathUnescape leaves a + as it is.
		key, keyErr := url.PathUnescape(key)
		value, valueErr := url.PathUnescape(value)
		if err := errors.Join(keyErr, valueErr); err != nil {
			return err
		}
		key = strings.ToLower(key)
		if seen[key] {
			return fmt.Errorf("parameter %q comes twice", key)
		}
		seen[key] = true
		if err := p.set(key, value); err != nil {
			return fmt.Errorf("parameter %q: %w", key, err)
		}
	}
	return nil
}

// set takes one parameter.
func (p *Payment) set(key, value string) (err error) {
	switch {
	case key == "amount":
		p.Amount, err = p.readAmount(value)
	case key == "label":
		p.Label, err = readText(value)
	case key == "message":
		p.Message, err = readText(value)
	case strings.HasPrefix(key, "req-"):
		return errors.New("it asks for something that this version does not know, so this must not be paid")
	}
	return err
}

func (p *Payment) readAmount(text string) (uint64, error) {
	if strings.Trim(text, "0123456789.") != "" { // an exponent
		return 0, fmt.Errorf("%w: %.100q is not plain digits with a point", consensus.ErrAmountText, text)
	}
	return p.Rules.ParseAmount(text)
}

func readText(text string) (string, error) {
	if fault := textFault(text); fault != "" {
		return "", fmt.Errorf("%.100q %s", text, fault)
	}
	return text, nil
}

// String returns the URI. ParseURI reads it back if it has at most 2,048 bytes,
// and if label and message are text without control characters.
func (p Payment) String() string {
	var parameters []string
	add := func(key, value string) {
		if value != "" {
			parameters = append(parameters, key+"="+escape(value))
		}
	}
	if p.Amount > 0 {
		add("amount", p.Rules.FormatAmount(p.Amount))
	}
	add("label", p.Label)
	add("message", p.Message)
	text := scheme + ":" + escape(p.Rules.FormatAccount(p.Recipient))
	if len(parameters) > 0 {
		text += "?" + strings.Join(parameters, "&")
	}
	return text
}

// escape writes all but letters, digits and -_.~ as % and two hex digits.
func escape(text string) string {
	return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") // a + that was there is %2B by now
}

// Memo returns the message as far as it can be the memo of the transfer: as a
// whole, or "" when it is too long.
func (p Payment) Memo() string {
	if len(p.Message) > maxMemo {
		return ""
	}
	return p.Message
}
