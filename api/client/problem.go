package client

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
)

// ProblemType is the media type of an answer that is a Problem.
const ProblemType = "application/problem+json"

// problemPath stands in front of a rule in the type of a problem.
const problemPath = "/problems/"

// Problem says why a node refused a request, in the form of RFC 9457. The client
// returns it as an error: errors.As finds it, and errors.Is finds its rule.
type Problem struct {
	Type   string `json:"type" doc:"/problems/ and the rule that was broken; it never changes" example:"/problems/insufficient"`
	Title  string `json:"title" doc:"The rule in words"`
	Status int    `json:"status" doc:"The HTTP status"`
	Detail string `json:"detail" doc:"What was wrong, and what would be right"`
	Values Values `json:"values,omitempty" doc:"The values that the rule compared: amounts in base units, sizes in bytes, heights"`
}

// Values are the numbers that a rule compared, by name.
type Values map[string]int64

// NewProblem returns a problem with a rule and a detail.
func NewProblem(rule Rule, detail string) *Problem {
	return &Problem{Type: problemPath + string(rule), Title: rule.Title(), Status: rule.Status(), Detail: detail}
}

// Rule returns the rule that was broken; "" where the answer names none.
func (p *Problem) Rule() Rule {
	rule, ok := strings.CutPrefix(p.Type, problemPath)
	if !ok {
		return ""
	}
	return Rule(rule)
}

// Error returns the detail with the title in front.
func (p *Problem) Error() string { return fmt.Sprintf("%d %s: %s", p.Status, p.Title, p.Detail) }

// GetStatus returns the HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType returns ProblemType, whatever else could be asked for.
func (p *Problem) ContentType(string) string { return ProblemType }

// Unwrap returns the rule, for errors.Is.
func (p *Problem) Unwrap() error {
	if rule := p.Rule(); rule != "" {
		return rule
	}
	return nil
}

// maxProblem is the most bytes of a refusal that are read.
const maxProblem = 64 << 10

// readProblem makes a Problem of an answer that is not a success, whatever its
// body: a proxy in between may answer in its own words.
func readProblem(resp *http.Response) *Problem {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxProblem)) // what arrived of it is enough to tell
	p := new(Problem)
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if media == ProblemType && json.Unmarshal(body, p) == nil && p.Detail != "" {
		p.Status = resp.StatusCode
		return p
	}
	p = &Problem{Type: "about:blank", Title: http.StatusText(resp.StatusCode), Status: resp.StatusCode,
		Detail: strings.ToValidUTF8(strings.TrimSpace(string(body[:min(len(body), 200)])), "")}
	if p.Detail == "" || strings.HasPrefix(p.Detail, "<") {
		p.Detail = "the answer does not say why; is this the address of a Cairn node?"
	}
	return p
}
