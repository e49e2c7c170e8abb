// Package bench measures the built binary as it is released: how fast it is, what it
// costs, and what it loses when its surroundings fail. The homeserver is scripted
// (matrixtest) and the platform a stand-in (openctitest); both answer at once, so that
// what is measured is the connector, with a real RabbitMQ in between.
//
//	make bench                     every figure, in less than twelve minutes
//	make bench BENCH=Texts         one of them
//	make bench PROFILE=1           with profiles in build/profile
//	make bench BENCH_UPDATE=1      and what was measured goes into docs/performance.md
//
// A figure ([Figure]) is reported and never asserted: machines differ. What has to be
// there at the end is asserted: a benchmark whose messages do not all arrive fails,
// with the end of the connector's log.
package bench
