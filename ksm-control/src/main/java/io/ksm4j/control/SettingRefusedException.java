package io.ksm4j.control;

/** The kernel refused a value, or took it and has another one now. */
public final class SettingRefusedException extends KsmSettingException {

    private static final long serialVersionUID = 1;

    SettingRefusedException(KsmSetting setting, String message) {
        super(setting, message);
    }
}
