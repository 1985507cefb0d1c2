// The load generator: a closed loop over keep-alive connections that checks every answer it gets.
//
// A job is read as JSON from the standard input (so no key is ever an argument), the tally is written
// as JSON to the standard output. It talks to loopback only, and ends by itself.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"sync"
	"time"
)

const (
	maxConnections = 1000
	maxSeconds     = 120
	maxErrors      = 20
)

// Job is what to send, for how long, and what a right answer looks like.
type Job struct {
	URL         string            `json:"url"`
	Headers     map[string]string `json:"headers"`
	Body        string            `json:"body"`
	Connections int               `json:"connections"`
	Seconds     float64           `json:"seconds"`
	// StaggerSeconds is the time over which the first requests are spread.
	StaggerSeconds float64     `json:"stagger_seconds"`
	Expect         Expectation `json:"expect"`
}

// Tally is what came of it. Times in milliseconds; first word: of streams only.
type Tally struct {
	Requests       int     `json:"requests"`
	Events         int     `json:"events"`
	Errors         int     `json:"errors"`
	FirstError     string  `json:"first_error"`
	Seconds        float64 `json:"seconds"`
	LatencyP50     float64 `json:"latency_ms_p50"`
	LatencyP99     float64 `json:"latency_ms_p99"`
	FirstWordP50   float64 `json:"first_word_ms_p50"`
	latencies      []time.Duration
	firstWordDelay []time.Duration
}

func (job *Job) check() (*url.URL, error) {
	target, err := url.Parse(job.URL)
	if err != nil {
		return nil, err
	}
	if address := net.ParseIP(target.Hostname()); address == nil || !address.IsLoopback() {
		return nil, errors.New("the load generator talks to loopback addresses only")
	}
	if job.Connections < 1 || job.Connections > maxConnections {
		return nil, fmt.Errorf("connections must be 1 to %d", maxConnections)
	}
	if job.Seconds <= 0 || job.Seconds > maxSeconds {
		return nil, fmt.Errorf("seconds must be above 0 and at most %d", maxSeconds)
	}
	return target, nil
}

// Each connection sends its next request when the last answer has ended; none is begun after the
// deadline, and those under way end in their own time, so every request sent is also counted.
func (job *Job) run(target *url.URL) *Tally {
	began := time.Now()
	deadline := began.Add(time.Duration(job.Seconds * float64(time.Second)))
	clients := make([]*client, job.Connections)
	var group sync.WaitGroup
	for number := range clients {
		clients[number] = newClient(job, target)
		delay := job.StaggerSeconds * float64(number) / float64(job.Connections)
		group.Add(1)
		go func() {
			defer group.Done()
			time.Sleep(time.Duration(delay * float64(time.Second)))
			clients[number].repeat(deadline)
		}()
	}
	group.Wait()
	tally := &Tally{Seconds: time.Since(began).Seconds()}
	for _, client := range clients {
		tally.add(client)
	}
	tally.LatencyP50 = percentile(tally.latencies, 0.50)
	tally.LatencyP99 = percentile(tally.latencies, 0.99)
	tally.FirstWordP50 = percentile(tally.firstWordDelay, 0.50)
	return tally
}

func (tally *Tally) add(client *client) {
	for _, answer := range client.answers {
		tally.Requests++
		tally.Events += answer.events
		tally.latencies = append(tally.latencies, answer.latency)
		if answer.firstWord > 0 {
			tally.firstWordDelay = append(tally.firstWordDelay, answer.firstWord)
		}
	}
	tally.Errors += len(client.failures)
	if tally.FirstError == "" && len(client.failures) > 0 {
		tally.FirstError = client.failures[0]
	}
}

func percentile(delays []time.Duration, share float64) float64 {
	if len(delays) == 0 {
		return 0
	}
	slices.Sort(delays)
	return float64(delays[int(share*float64(len(delays)-1))].Microseconds()) / 1000
}

func main() {
	job := &Job{}
	err := json.NewDecoder(os.Stdin).Decode(job)
	if err == nil {
		var target *url.URL
		if target, err = job.check(); err == nil {
			err = json.NewEncoder(os.Stdout).Encode(job.run(target))
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
