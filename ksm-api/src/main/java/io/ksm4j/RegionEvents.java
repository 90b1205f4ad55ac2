// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import java.util.ArrayList;
import java.util.List;
import jdk.jfr.Category;
import jdk.jfr.DataAmount;
import jdk.jfr.Description;
import jdk.jfr.Event;
import jdk.jfr.FlightRecorder;
import jdk.jfr.Label;
import jdk.jfr.MemoryAddress;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;
import org.jspecify.annotations.Nullable;

/** Records events about regions in Java Flight Recorder. */
final class RegionEvents {

    /**
     * A region, or a part of one. A superclass of events must not have a method that refers to one of them: if JFR is
     * running, it links the superclass while the event class is still being loaded.
     */
    @Category("ksm4j")
    abstract static class RegionEvent extends Event {

        @Label("Address")
        @MemoryAddress
        long address;

        @Label("Size")
        @DataAmount
        long bytes;

        @Label("Owner")
        @Description("The name of the region or, if it has none, of the thread that opened it")
        @Nullable
        String owner;
    }

    /** Marking or unmarking. The duration is that of the whole call, including failed attempts. */
    abstract static class Advice extends RegionEvent {

        @Label("Failure")
        @Description("The reason why the call failed and left the region unchanged; missing if it succeeded")
        @Nullable
        String failure;
    }

    @Name("io.ksm4j.Mark")
    @Label("Mark Mergeable")
    @Description("A region or a part of it was marked mergeable. If a call marks several regions, there is one event "
            + "for each, with the duration of the whole call")
    static final class Mark extends Advice {}

    @Name("io.ksm4j.Unmark")
    @Label("Mark Unmergeable")
    @Description("A region or a part of it was marked unmergeable by an explicit call, not by closing it. The duration "
            + "includes copying the merged pages that no other region wants")
    static final class Unmark extends Advice {}

    @Name("io.ksm4j.Leak")
    @Label("Leaked Region")
    @Description("A region became unreachable before it was closed, and was reclaimed")
    @StackTrace(false)
    static final class Leak extends RegionEvent {}

    @Name("io.ksm4j.Rest")
    @Label("Marks at Rest")
    @Description("A governor has unmarked a part of a region because merging it does not pay off. It marks the part "
            + "again later")
    @StackTrace(false)
    static final class Rest extends RegionEvent {

        @Label("Reason")
        @Description(
                "NOT_MERGED: too few of the pages have merged. COPIED: pages are copied more often than they merge")
        @Nullable
        String reason;

        @Label("Full Scans")
        @Description("After how many full scans of ksmd the part is marked again")
        long fullScans;
    }

    /**
     * Template events, used only to test whether the event is enabled. They are loaded late, because creating an event
     * initializes half of JFR, which takes longer than the rest of ksm4j's startup.
     */
    private static final class Templates {
        static final Mark MARK = new Mark();
        static final Unmark UNMARK = new Unmark();
    }

    /** A region, or a part of one, as shown in an event. */
    record Subject(AddressRange range, String owner) {}

    private RegionEvents() {}

    /** {@return whether such changes are recorded; initializes Flight Recorder} */
    static boolean isRecorded(boolean mergeable) {
        return mergeable ? Templates.MARK.isEnabled() : Templates.UNMARK.isEnabled();
    }

    /** Makes a change, and records an event for each part of a region that it marks or unmarks. */
    static void record(List<Subject> parts, boolean mergeable, Runnable change) {
        List<Advice> events = new ArrayList<>();
        for (Subject part : parts) {
            Advice event = mergeable ? new Mark() : new Unmark();
            describe(event, part.range(), part.owner());
            events.add(event);
        }
        events.forEach(Event::begin);
        try {
            change.run();
        } catch (RuntimeException | Error e) {
            events.forEach(event -> event.failure = e.toString());
            throw e;
        } finally {
            events.forEach(Event::end);
            events.forEach(Event::commit);
        }
    }

    static void recordLeak(AddressRange range, String owner) {
        if (!FlightRecorder.isInitialized()) {
            return;
        }
        Leak event = new Leak();
        describe(event, range, owner);
        event.commit();
    }

    static void recordRest(AddressRange range, String owner, String reason, long fullScans) {
        if (!FlightRecorder.isInitialized()) {
            return;
        }
        Rest event = new Rest();
        describe(event, range, owner);
        event.reason = reason;
        event.fullScans = fullScans;
        event.commit();
    }

    private static void describe(RegionEvent event, AddressRange range, String owner) {
        event.address = range.start();
        event.bytes = range.length();
        event.owner = owner;
    }
}
