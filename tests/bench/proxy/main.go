// A bare reverse proxy: what forwarding alone costs. The yardstick of every ratio.
package main

import (
	"flag"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8082", "address")
	upstream := flag.String("upstream", "http://127.0.0.1:8081", "where to forward to")
	flag.Parse()
	target, err := url.Parse(*upstream)
	if err != nil {
		log.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(request *httputil.ProxyRequest) {
			request.SetURL(target)
		},
		// Each write of the upstream goes out at once, as a stream needs it.
		FlushInterval: -1,
		Transport: &http.Transport{
			MaxIdleConns:        1024,
			MaxIdleConnsPerHost: 1024,
			IdleConnTimeout:     90 * time.Second,
			DisableCompression:  true,
		},
	}
	handler := func(writer http.ResponseWriter, request *http.Request) {
		// Without it the server closes the request's body when the answer's head is written, and a
		// transport that has sent the body but not yet read its end then cuts the answer off.
		_ = http.NewResponseController(writer).EnableFullDuplex()
		proxy.ServeHTTP(writer, request)
	}
	log.Fatal(http.ListenAndServe(*listen, http.HandlerFunc(handler)))
}
