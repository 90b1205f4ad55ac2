// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.live;

import io.ksm4j.tools.output.Console;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOError;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;
import org.jline.terminal.Attributes;
import org.jline.terminal.Attributes.ControlChar;
import org.jline.terminal.Attributes.InputFlag;
import org.jline.terminal.Attributes.LocalFlag;
import org.jline.terminal.Size;
import org.jline.terminal.Terminal;
import org.jline.terminal.Terminal.Signal;
import org.jline.terminal.Terminal.SignalHandler;
import org.jline.terminal.impl.PosixSysTerminal;
import org.jline.terminal.impl.exec.ExecPty;
import org.jline.terminal.impl.exec.ExecTerminalProvider;
import org.jline.terminal.spi.SystemStream;
import org.jline.utils.AttributedString;
import org.jline.utils.Curses;
import org.jline.utils.Display;
import org.jline.utils.InfoCmp.Capability;
import org.jline.utils.NonBlockingReader;
import org.jline.utils.ShutdownHooks;

/**
 * The whole screen of the terminal of this process, which shows a {@link LiveView} until it is closed. Then the
 * terminal is restored. It is also restored if the process ends, including by a signal, or is stopped by a signal.
 */
final class Screen implements AutoCloseable {

    /** The size of a terminal that does not report its size. */
    private static final Size DEFAULT_SIZE = new Size(80, 24);

    private static final int CTRL_L = 0x0c;

    private final LiveView view;
    private final Closer closer;
    private final Terminal terminal;
    private final Attributes before;
    private final NonBlockingReader keys;
    private final Display display;

    /**
     * Restores the previous screen, or clears the screen if the terminal has not saved the previous one, as with the
     * Linux console.
     */
    private final byte[] leave;

    /** Held to draw, enter and leave: signals and the end of the process do that in threads of their own. */
    private final ReentrantLock lock = new ReentrantLock();

    private Size size = DEFAULT_SIZE;
    private boolean isEntered;
    private boolean isClosed;

    private Screen(LiveView view, Closer closer, Terminal terminal) {
        this.view = view;
        this.closer = closer;
        this.terminal = terminal;
        this.before = terminal.getAttributes();
        this.keys = terminal.reader();
        this.display = new Display(terminal, true);
        String screenBefore = string(Capability.exit_ca_mode);
        this.leave = (string(Capability.exit_attribute_mode)
                        + string(Capability.cursor_normal)
                        + (screenBefore.isEmpty() ? string(Capability.clear_screen) : screenBefore))
                .getBytes(StandardCharsets.ISO_8859_1);
        this.size = readSize();
    }

    private String string(Capability capability) {
        String text = terminal.getStringCapability(capability);
        return text == null ? "" : Curses.tputs(text);
    }

    /**
     * Takes over the terminal.
     *
     * @return the screen, which shows nothing yet; empty if standard input and output are not both the terminal, or if
     *     the terminal can only print
     */
    static Optional<Screen> open(LiveView view) {
        String type = System.getenv("TERM");
        if (type == null || type.isEmpty() || type.startsWith("dumb") || !isDevice(0) || !isDevice(1)) {
            return Optional.empty();
        }
        // Hooks run in the order in which they were added. This one must run before the terminal's own, which would
        // leave the screen as it is.
        Closer closer = new Closer();
        ShutdownHooks.add(closer);
        try {
            Terminal terminal = terminal(type);
            if (terminal.getStringCapability(Capability.clear_screen) == null
                    || terminal.getStringCapability(Capability.cursor_up) == null) {
                terminal.close();
                ShutdownHooks.remove(closer);
                return Optional.empty();
            }
            Screen screen = new Screen(view, closer, terminal);
            closer.screen = Optional.of(screen);
            terminal.handle(Signal.WINCH, signal -> screen.resize());
            terminal.handle(Signal.TSTP, signal -> screen.suspend());
            terminal.handle(Signal.CONT, signal -> screen.enter());
            screen.enter();
            return Optional.of(screen);
        } catch (IOException | IOError e) {
            closer.run();
            ShutdownHooks.remove(closer);
            return Optional.empty();
        }
    }

    /**
     * Uses programs such as stty(1) instead of native code: with native code, JLine 3.30 would restore the terminal
     * with a speed of 0, which hangs up a serial line. A {@code TerminalBuilder} would run several more programs, and
     * load native code if standard error is not a terminal.
     *
     * @throws IOException if there is no terminal or no such program
     */
    private static Terminal terminal(String type) throws IOException {
        ExecTerminalProvider provider = new ExecTerminalProvider();
        if (!provider.isPosixSystemStream(SystemStream.Output)) {
            throw new IOException("standard output is not a terminal");
        }
        return new PosixSysTerminal(
                "ksm",
                type,
                ExecPty.current(provider, SystemStream.Output),
                Console.charset(),
                false, // Otherwise signals would end the process at once, without the hooks.
                SignalHandler.SIG_DFL);
    }

    /** Registered before there is a screen. */
    private static final class Closer implements ShutdownHooks.Task {

        private volatile Optional<Screen> screen = Optional.empty();

        @Override
        public void run() {
            screen.ifPresent(Screen::close);
        }
    }

    /**
     * {@return whether the descriptor is a device} Only a device can be a terminal, and to query a terminal takes a
     * process.
     */
    private static boolean isDevice(int descriptor) {
        try {
            String file = Files.readSymbolicLink(Path.of("/proc/self/fd/" + descriptor))
                    .toString();
            return file.startsWith("/dev/") && !file.equals("/dev/null");
        } catch (IOException e) {
            return false;
        }
    }

    private void enter() {
        lock.lock();
        try {
            if (!isClosed) {
                terminal.setAttributes(raw());
                terminal.puts(Capability.enter_ca_mode);
                terminal.puts(Capability.cursor_invisible);
                isEntered = true;
                resize();
            }
        } finally {
            lock.unlock();
        }
    }

    /**
     * Delivers keys as they are pressed, without echo. Ctrl-C still sends a signal. Ctrl-\ does not, because the JVM
     * would print its threads. Nor does Ctrl-Z: it would also stop the stty that this process may be waiting for, which
     * would then never end.
     */
    private Attributes raw() {
        Attributes raw = new Attributes(before);
        raw.setLocalFlags(EnumSet.of(LocalFlag.ICANON, LocalFlag.ECHO, LocalFlag.IEXTEN), false);
        raw.setInputFlags(EnumSet.of(InputFlag.IXON, InputFlag.ICRNL, InputFlag.INLCR), false);
        // A read ends after a tenth of a second, so that the reading thread can be stopped.
        raw.setControlChar(ControlChar.VMIN, 0);
        raw.setControlChar(ControlChar.VTIME, 1);
        raw.setControlChar(ControlChar.VQUIT, 0);
        raw.setControlChar(ControlChar.VSUSP, 0);
        return raw;
    }

    private void resize() {
        lock.lock();
        try {
            if (!isClosed) {
                size = readSize();
                // Queries the terminal again, which takes a process.
                display.resize(size.getRows(), size.getColumns());
                redraw();
            }
        } finally {
            lock.unlock();
        }
    }

    private Size readSize() {
        try {
            Size read = terminal.getSize();
            return read.getRows() > 0 && read.getColumns() > 0 ? read : DEFAULT_SIZE;
        } catch (IOError e) {
            return size; // Ctrl-C also ends the program that reports the size.
        }
    }

    /** Draws the current content of the view. */
    void draw() {
        lock.lock();
        try {
            if (isEntered) {
                List<AttributedString> lines = new ArrayList<>();
                for (AttributedString line : view.lines(size.getRows(), size.getColumns())) {
                    lines.add(line.columnSubSequence(0, size.getColumns()));
                }
                display.update(lines.subList(0, Math.min(lines.size(), size.getRows())), 0);
            }
        } finally {
            lock.unlock();
        }
    }

    /**
     * Handles Ctrl-Z and SIGTSTP: as with any program, the shell has the terminal until the user continues this
     * process.
     */
    private void suspend() {
        lock.lock();
        try {
            if (!isEntered) {
                return;
            }
            leave();
            terminal.setAttributes(before);
        } finally {
            lock.unlock();
        }
        // Unhandled, the signal stops the process, unless there is no shell that could continue it.
        terminal.handle(Signal.TSTP, SignalHandler.SIG_DFL);
        try {
            String raise = "kill -TSTP " + ProcessHandle.current().pid();
            // Gives the kernel time to stop all threads before the next step.
            new ProcessBuilder("sh", "-c", raise + "; sleep 0.1").start().waitFor();
        } catch (IOException e) {
            // The same as without a shell.
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        terminal.handle(Signal.TSTP, signal -> suspend());
        enter();
    }

    private void leave() {
        isEntered = false;
        terminal.flush();
        try {
            new FileOutputStream(FileDescriptor.out).write(leave);
        } catch (IOException e) {
            // There is no terminal any more.
        }
    }

    /**
     * Waits until this {@link System#nanoTime}.
     *
     * @return whether the user pressed q before, or the terminal is gone
     */
    boolean isLeftBefore(long time) {
        try {
            while (true) {
                if (terminal.writer().checkError()) {
                    return true;
                }
                long millis = TimeUnit.NANOSECONDS.toMillis(time - System.nanoTime());
                int key = millis <= 0 ? NonBlockingReader.READ_EXPIRED : keys.read(millis);
                if (key == NonBlockingReader.READ_EXPIRED) {
                    return false;
                }
                if (key == 'q' || key == 'Q' || key == NonBlockingReader.EOF) {
                    return true;
                }
                if (key == CTRL_L) {
                    redraw();
                } else if (key != 0 && key == before.getControlChar(ControlChar.VSUSP)) {
                    suspend();
                }
            }
        } catch (IOException | IllegalStateException e) {
            return true; // Closed, because the process ends.
        }
    }

    private void redraw() {
        lock.lock();
        try {
            display.clear();
            draw();
        } finally {
            lock.unlock();
        }
    }

    /** Restores the terminal. May be called by any thread, and repeatedly. */
    @Override
    public void close() {
        lock.lock();
        try {
            if (isClosed) {
                return;
            }
            isClosed = true;
            if (isEntered) {
                leave();
            }
        } finally {
            lock.unlock();
        }
        // Not under the lock: both wait for a shutdown in progress, which may wait for the lock.
        try {
            terminal.close();
        } catch (IOException | IOError e) {
            // There is no terminal any more.
        }
        ShutdownHooks.remove(closer);
    }
}
