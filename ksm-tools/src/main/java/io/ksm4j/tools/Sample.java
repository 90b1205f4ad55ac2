package io.ksm4j.tools;

import io.ksm4j.stats.KsmStats;
import java.time.Instant;
import java.util.OptionalDouble;

/**
 * The machine at one time. What it has done is since the sample before, and absent in the first.
 *
 * @param time when
 * @param machine its numbers
 * @param ksmdPercent how much of one processor {@code ksmd} took; absent too where the kernel's threads are not shown
 * @param pagesPerSecond how many pages {@code ksmd} looked at in a second; absent too before Linux 6.6
 */
record Sample(Instant time, KsmStats machine, OptionalDouble ksmdPercent, OptionalDouble pagesPerSecond) {}
